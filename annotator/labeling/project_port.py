"""What projects ask about answers (see annotator.projects.ports)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.core.cache import cache
from django.db import connection

from annotator.labeling.services import set_overlap
from annotator.projects.ports import Progress

__all__ = ["answers_by_class", "progress_of", "set_overlap"]

REMEMBER = 20  # seconds: counting a large project costs more than a page of projects should
# Answers to gold are no progress. A figure that showed at once that an answer did not count would tell people what is gold.
REMEMBER_WITH_GOLD = 600

PROGRESS = """
SELECT p.id,
  (SELECT count(DISTINCT a.item_id) FROM labeling_annotation a JOIN items_item i ON i.id = a.item_id
   WHERE a.project_id = p.id AND a.current AND a.state = 'submitted'
     AND i.archived_at IS NULL AND i.split = 'pool'),
  counted.pool, counted.gold > 0
FROM projects_project p
CROSS JOIN LATERAL (
  SELECT count(*) FILTER (WHERE i.split = 'pool') AS pool, count(*) FILTER (WHERE i.split = 'gold') AS gold
  FROM items_item i WHERE i.project_id = p.id AND i.archived_at IS NULL AND i.split IN ('pool', 'gold')) counted
WHERE p.id = ANY(%s)
"""

BY_CLASS = """
SELECT chosen.key, count(*)
FROM labeling_annotation a
CROSS JOIN LATERAL jsonb_array_elements(a.regions) AS region(value)
CROSS JOIN LATERAL jsonb_array_elements_text(region.value->'classes') AS chosen(key)
WHERE a.project_id = %s AND a.current AND a.state = 'submitted'
GROUP BY chosen.key
"""


def progress_of(project_ids: Sequence[int]) -> Mapping[int, Progress]:
    """Progress of each project, counted at most every twenty seconds, with gold every ten minutes."""
    names = {f"progress.{project_id}": project_id for project_id in project_ids}
    known = {names[name]: Progress(*pair) for name, pair in cache.get_many(names).items()}
    if missing := [project_id for project_id in project_ids if project_id not in known]:
        with connection.cursor() as cursor:
            cursor.execute(PROGRESS, [missing])
            rows = cursor.fetchall()
        for wait, with_gold in ((REMEMBER, False), (REMEMBER_WITH_GOLD, True)):
            cache.set_many({f"progress.{row[0]}": row[1:3] for row in rows if row[3] == with_gold}, wait)
        known |= {row[0]: Progress(row[1], row[2]) for row in rows}
    return known


def answers_by_class(project_id: int) -> Mapping[str, int]:
    """Answers that count now, by the class key that was chosen; an answer with two classes counts for both."""
    with connection.cursor() as cursor:
        cursor.execute(BY_CLASS, [project_id])
        return dict(cursor.fetchall())

"""Job handlers of this app: shells only."""

from __future__ import annotations

from typing import Any

from annotator.jobs.services import JobRun, job_handler
from annotator.transfer import services


@job_handler(services.KIND)
def run_import(run: JobRun) -> dict[str, Any]:
    return services.run_import(import_id=run.job.params["import"], run=run)

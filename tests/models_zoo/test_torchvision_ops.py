"""torchvision can be imported with any build of torch, and whole builds notice nothing."""

from __future__ import annotations

import subprocess
import sys


def run(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_torchvision_imports_and_its_nets_work_however_often_it_is_asked_for() -> None:
    found = run(
        "from models_zoo import torchvision_ops as ops\n"
        "import torch\n"
        "net = ops.import_torchvision().models.get_model('squeezenet1_1', weights=None).eval()\n"
        "print(tuple(net(torch.zeros(1, 3, 64, 64)).shape))\n"
        "ops.declare_missing_operators.cache_clear()\n"
        "print(ops.declare_missing_operators(), all(map(ops.has_operator, ops.SCHEMAS)))"
    )
    assert found.splitlines() == ["(1, 1000)", "() True"]


def test_operators_that_exist_are_left_alone() -> None:
    found = run(
        "import torch\n"
        "from models_zoo import torchvision_ops as ops\n"
        "ops._load_compiled_part = lambda: None\n"
        "whole = torch.library.Library('torchvision', 'DEF')\n"
        "[whole.define(schema) for schema in ops.SCHEMAS.values()]\n"
        "whole.impl('nms', lambda dets, scores, iou: torch.arange(3), 'CPU')\n"
        "print(ops.declare_missing_operators(), ops._declared)\n"
        "print(torch.ops.torchvision.nms(torch.zeros(1, 4), torch.zeros(1), 0.5).tolist())"
    )
    assert found.splitlines() == ["() []", "[0, 1, 2]"]


def test_a_whole_build_may_declare_its_operators_later() -> None:
    found = run(
        "import torch\n"
        "from models_zoo import torchvision_ops as ops\n"
        "ops._load_compiled_part = lambda: None\n"
        "ops.has_operator = lambda name: name == 'qnms'\n"
        "print(ops.declare_missing_operators())\n"
        "whole = torch.library.Library('torchvision', 'DEF')\n"
        "whole.define('roi_pool(Tensor x) -> Tensor')\n"
        "print(torch.ops.torchvision.roi_pool)"
    )
    assert found.splitlines()[0] == "('nms',)"
    assert "roi_pool" in found.splitlines()[1]

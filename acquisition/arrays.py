"""What the array API standard lacks, for numpy and torch arrays alike; torch itself is never imported.

`Array` is any array that array-api-compat knows. The caller chooses library and device.
"""

from collections.abc import Callable
from typing import Any

import array_api_compat
import numpy as np
import numpy.typing as npt

Array = Any
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.floating[Any]]

# One block of rows should stay in a core's second-level cache; a GPU wants few, large blocks.
_BLOCK_ELEMENTS_CPU = 1 << 16
_BLOCK_ELEMENTS_GPU = 1 << 26
# Below this many classes, reading classes first is faster than reducing short rows.
_FEW_CLASSES = 64


def namespace(*arrays: Array) -> Any:
    """The array API namespace of the arrays."""
    return array_api_compat.array_namespace(*arrays)


def is_array(value: object) -> bool:
    return bool(array_api_compat.is_array_api_obj(value))


def is_floating(array: Array) -> bool:
    return bool(namespace(array).isdtype(array.dtype, "real floating"))


def on_cpu(array: Array) -> bool:
    return str(array_api_compat.device(array)) == "cpu"


def to_numpy(array: Array) -> npt.NDArray[Any]:
    """The same values as a numpy array; a copy only where the device or the library asks for one."""
    if array_api_compat.is_torch_array(array):
        array = array.detach().cpu()
    return np.asarray(array)


def contiguous(array: Array) -> Array:
    """Row-major memory: a copy if it is not so yet."""
    if array_api_compat.is_numpy_array(array):
        return np.ascontiguousarray(array)
    return array.contiguous() if array_api_compat.is_torch_array(array) else array


def widen(array: Array) -> Array:
    """float16 to float32: half precision is for storage, never for arithmetic."""
    xp = namespace(array)
    return xp.astype(array, xp.float32) if array.dtype.itemsize < 4 else array


def take_rows(array: Array, positions: npt.NDArray[Any]) -> Array:
    """Rows at numpy positions, whatever library and device the array belongs to."""
    if array_api_compat.is_numpy_array(array):
        return array[positions]
    xp = namespace(array)
    index = xp.asarray(np.ascontiguousarray(positions), device=array_api_compat.device(array))
    return xp.take(array, index, axis=0)


def map_classes_first(function: Callable[[Array], Array], array: Array) -> Array:
    """`function((C, m)) -> (m, ...)` over blocks of the rows of `array` (n, C); result (n, ...).

    One pass over memory: temporaries live in blocks. Few classes are laid out classes first, so that reductions
    run over long, contiguous rows (2-4 times faster at C=10).
    """
    xp = namespace(array)
    n, classes = array.shape
    elements = _BLOCK_ELEMENTS_CPU if on_cpu(array) else _BLOCK_ELEMENTS_GPU
    rows = max(1, elements // max(1, classes))
    result: Array = None
    for start in range(0, max(n, 1), rows):
        block = xp.permute_dims(array[start : start + rows, :], (1, 0))
        part = function(contiguous(block) if classes <= _FEW_CLASSES else block)
        if part.shape[0] == n:
            return part
        if result is None:
            # Filled as blocks come: many parts that are joined at the end would be memory touched twice.
            result = xp.empty((n, *part.shape[1:]), dtype=part.dtype, device=array_api_compat.device(part))
        result[start : start + rows] = part
    return result


def two_largest(block: Array) -> tuple[Array, Array]:
    """Largest and second largest over axis 0 of (C, m), without sorting; the second is 0 where C is 1."""
    xp = namespace(block)
    classes = block.shape[0]
    if classes == 1:
        return block[0, :], xp.zeros_like(block[0, :])
    if classes > _FEW_CLASSES:
        best = xp.argmax(block, axis=0)
        index = xp.arange(classes, device=array_api_compat.device(block))
        rest = xp.where(index[:, None] == best[None, :], -xp.inf, block)
        return xp.max(block, axis=0), xp.max(rest, axis=0)
    first = xp.maximum(block[0, :], block[1, :])
    second = xp.minimum(block[0, :], block[1, :])
    if array_api_compat.is_numpy_array(block):
        return _fold_two_largest(block, first, second)
    for c in range(2, classes):
        second = xp.maximum(second, xp.minimum(first, block[c, :]))
        first = xp.maximum(first, block[c, :])
    return first, second


def _fold_two_largest(block: Array, first: Array, second: Array) -> tuple[Array, Array]:
    """In place, which halves the time: of the first two classes to that of all."""
    least = np.empty_like(first)
    for row in block[2:]:
        np.minimum(first, row, out=least)
        np.maximum(second, least, out=second)
        np.maximum(first, row, out=first)
    return first, second


def xlogx(array: Array) -> Array:
    """x log x, which is 0 at 0."""
    xp = namespace(array)
    # Too small to be seen beside anything but 0; cheaper than clipping.
    return array * xp.log(array + xp.finfo(array.dtype).smallest_normal)


def logsumexp(array: Array, axis: int | None = None) -> Array:
    """log(sum(exp(array))); -inf for an empty or all -inf input."""
    xp = namespace(array)
    if axis is None:
        array, axis = xp.reshape(array, (-1,)), 0
    if array.shape[axis] == 0:
        return xp.sum(array, axis=axis) - xp.inf
    peak = xp.max(array, axis=axis, keepdims=True)
    peak = xp.where(xp.isfinite(peak), peak, xp.zeros_like(peak))
    total = xp.sum(xp.exp(array - peak), axis=axis)
    # log(0) is wanted here and needs no warning.
    log = xp.where(total > 0, xp.log(xp.where(total > 0, total, xp.ones_like(total))), -xp.inf)
    return log + xp.squeeze(peak, axis=axis)


def smallest_k(matrix: Array, k: int) -> Array:
    """Indices (m, k) of the k smallest of each row, k at most its length, in no particular order."""
    if array_api_compat.is_torch_array(matrix):
        return matrix.topk(k, dim=1, largest=False, sorted=False).indices
    if array_api_compat.is_numpy_array(matrix):
        if k >= matrix.shape[1]:
            return np.broadcast_to(np.arange(matrix.shape[1]), matrix.shape)
        return np.argpartition(matrix, k - 1, axis=1)[:, :k]
    return namespace(matrix).argsort(matrix, axis=1)[:, :k]


def smallest_values(matrix: Array, k: int) -> Array:
    """The k smallest values (m, k) of each row, k at most its length, in no particular order."""
    if array_api_compat.is_torch_array(matrix):
        return matrix.topk(k, dim=1, largest=False, sorted=False).values
    if array_api_compat.is_numpy_array(matrix):
        return matrix if k >= matrix.shape[1] else np.partition(matrix, k - 1, axis=1)[:, :k]
    return namespace(matrix).sort(matrix, axis=1)[:, :k]


def sum_by_label(rows: Array, label: Array, size: int, weights: Array | None = None) -> Array:
    """Sums (size, D) of the rows (n, D), times their weights (n,), of each label (n,) in 0..size-1."""
    xp = namespace(rows)
    if array_api_compat.is_numpy_array(rows):
        # Here and not above: processes that only list strategies have no need of it.
        import scipy.sparse

        # One pass over the rows in their order; sorting them by label first would copy them all.
        data = np.ones(len(label), dtype=rows.dtype) if weights is None else weights
        belongs = scipy.sparse.csc_array((data, label, np.arange(len(label) + 1)), shape=(size, len(label)))
        return np.asarray(belongs @ rows)
    device = array_api_compat.device(rows)
    totals = xp.zeros((size, rows.shape[1]), dtype=rows.dtype, device=device)
    if array_api_compat.is_torch_array(rows) and on_cpu(rows):
        return totals.index_add(0, label, rows if weights is None else rows * weights[:, None])
    # Products and not `index_add`: on a GPU that adds in any order, and no two sums would be the same.
    numbers = xp.arange(size, device=device)[:, None]
    step = max(1, _BLOCK_ELEMENTS_GPU // max(size, rows.shape[1]))
    for start in range(0, rows.shape[0], step):
        belongs = xp.astype(label[None, start : start + step] == numbers, rows.dtype)
        if weights is not None:
            belongs = belongs * weights[None, start : start + step]
        totals = totals + belongs @ rows[start : start + step, :]
    return totals


def top_k(values: Array, k: int) -> Array:
    """Indices (min(k, n),) of the k largest of (n,), largest first; equal values in no particular order."""
    k = min(k, values.shape[0])
    if array_api_compat.is_torch_array(values):
        return values.topk(k).indices
    xp = namespace(values)
    if not array_api_compat.is_numpy_array(values) or k == values.shape[0]:
        return xp.argsort(values, descending=True)[:k]
    # k of 0 asks for a place past the end, which argpartition refuses.
    first = values.shape[0] - max(1, k)
    head = np.argpartition(values, first)[values.shape[0] - k :]
    return head[np.argsort(-values[head])]

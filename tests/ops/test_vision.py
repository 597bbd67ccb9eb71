"""Detection ops, which the dispatcher may not have here: by hand."""

from botec.ops.facts import flops, multiplications, op_of
from botec.poly import symbol
from tests.ops.calls_for import call, tensor
from tests.ops.counting import Number, greater, tally


def overlap(a, b, area_a, area_b):
    """Intersection over union of two boxes (left, top, right, bottom)."""
    left, top = greater(a[0], b[0]), greater(a[1], b[1])
    right, bottom = greater(a[2], b[2]), greater(a[3], b[3])
    width, height = greater(right - left, Number(0)), greater(bottom - top, Number(0))
    both = width * height
    return both / (area_a + area_b - both)


def test_suppression_compares_all_pairs():
    box = [Number(value) for value in (0, 0, 2, 2)]

    def work(count):
        areas = [(box[2] - box[0]) * (box[3] - box[1]) for _ in range(count)]
        for one in range(count):
            for other in range(one):
                overlap(box, box, areas[one], areas[other])

    done, _ = tally(work, 5)
    asked = call("torchvision.nms", [tensor(2, dtype="int64")], dets=tensor(5, 4), scores=tensor(5))
    assert flops(asked) == done["elementwise"]
    assert multiplications(asked) == 0


def test_a_deformable_convolution_multiplies_as_a_convolution():
    image, weight, out = tensor(2, 4, 9, 9), tensor(6, 2, 3, 3), (2, 6, 7, 7)
    plain = call("aten.convolution", out, input=image, weight=weight, transposed=False)
    bent = call(
        "torchvision.deform_conv2d", out, input=image, weight=weight, groups=2, use_mask=False
    )
    assert multiplications(bent) == multiplications(plain)
    taps = 2 * 49 * 4 * 9
    assert flops(bent) == 2 * multiplications(bent) + 7 * taps + 2 * 6 * 49
    back = call("torchvision._deform_conv2d_backward", [image, weight], grad=tensor(*out),
                input=image, weight=weight, groups=2, use_mask=True)  # fmt: skip
    assert multiplications(back) == 2 * multiplications(plain)


def test_samples_whose_number_depends_on_the_boxes_are_unknown():
    boxes = {"input": tensor(1, 4, 9, 9), "rois": tensor(3, 5)}
    fixed, free = (
        call("torchvision.roi_align", (3, 4, 2, 2), **boxes, sampling_ratio=ratio)
        for ratio in (2, -1)
    )
    assert flops(fixed) == 48 * (4 * 8 + 1)
    assert flops(free) is None
    assert multiplications(free) == 0
    assert flops(call("torchvision.roi_pool", (3, 4, 2, 2), **boxes)) is None


def test_antialiased_windows_need_plain_sizes():
    for size, known in ((8, True), (symbol("H"), False)):
        asked = call("aten._upsample_bicubic2d_aa", (1, 3, 4, 4), self=tensor(1, 3, size, 8))
        assert (flops(asked) is not None) is known
        assert multiplications(asked) == 0


def test_a_window_that_shrinks_widens():
    """8 to 4 with four taps: eight numbers a line, rows first."""
    asked = call("aten._upsample_bicubic2d_aa", (1, 3, 4, 4), self=tensor(1, 3, 8, 8))
    assert flops(asked) == 3 * (8 * 4 + 4 * 4) * 15


def test_an_op_of_nobody():
    assert op_of("torchvision.nothing_like_it") is None

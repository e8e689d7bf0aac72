"""Small ONNX files, written without a library for that."""

import struct


def message(*fields):
    """A protobuf message of (number, value): an int, bytes, a text or a list of them."""
    data = b""
    for number, value in fields:
        for one in value if isinstance(value, list) else [value]:
            one = one.encode() if isinstance(one, str) else one
            is_number = isinstance(one, int)
            data += varint(number << 3 | (0 if is_number else 2))
            data += varint(one) if is_number else varint(len(one)) + one
    return data


def varint(number):
    data = b""
    while number >= 0x80:
        data += bytes([number & 0x7F | 0x80])
        number >>= 7
    return data + bytes([number])


def open_model(weights):
    """ONNX's y = relu(x · w) with 4 × 4 weights, where x is rows × 4."""
    dims = [message((2, "rows")), message((1, 4))]
    tensor_type = message((1, 1), (2, message((1, dims))))
    graph = message(
        (1, message((1, ["x", "w"]), (2, "product"), (4, "MatMul"))),
        (1, message((1, "product"), (2, "y"), (4, "Relu"))),
        (2, "open"),
        (5, message((1, [4, 4]), (2, 1), (8, "w"), (9, struct.pack("<16f", *weights)))),
        (11, message((1, "x"), (2, message((1, tensor_type))))),
        (12, message((1, "y"))),
    )
    return message((1, 8), (7, graph), (8, message((2, 17))))


def convolutions(count, channels, size):
    """ONNX's y = conv(… conv(x)) of 3 × 3 windows, whose weights are all alike."""
    dims = [message((1, extent)) for extent in (1, channels, size, size)]
    tensor_type = message((1, 1), (2, message((1, dims))))
    weights = struct.pack("<f", 1 / (9 * channels)) * (channels * channels * 9)
    pads = message((1, "pads"), (8, [1, 1, 1, 1]), (20, 7))
    names = ["x"] + [f"/Conv_{i}_output_0" for i in range(1, count)] + ["y"]
    graph = message(
        (1, [message((1, [names[i], "w"]), (2, names[i + 1]), (4, "Conv"), (5, pads)) for i in range(count)]),
        (2, "chain"),
        (5, message((1, [channels, channels, 3, 3]), (2, 1), (8, "w"), (9, weights))),
        (11, message((1, "x"), (2, message((1, tensor_type))))),
        (12, message((1, "y"))),
    )  # fmt: skip
    return message((1, 8), (7, graph), (8, message((2, 17))))

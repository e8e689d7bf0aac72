"""Convolutional networks as their papers and torchvision have them, in batches of one."""

from __future__ import annotations

from net import Net


def _image(net: Net, size: int) -> str:
    return net.input("image", (1, 3, size, size))


def resnet(net: Net, size: int, blocks: tuple[int, ...], bottleneck: bool):
    x = net.conv_norm(_image(net, size), 64, 7, 2)
    x = net.pool(x, "MaxPool", 3, 2, 1)
    for stage, count in enumerate(blocks):
        for block in range(count):
            width, stride = 64 << stage, 2 if stage > 0 and block == 0 else 1
            out = width * 4 if bottleneck else width
            short = x
            if stride != 1 or net.channels[x] != out:
                short = net.conv_norm(x, out, 1, stride, act=None)
            if bottleneck:
                y = net.conv_norm(net.conv_norm(x, width, 1), width, 3, stride)
                y = net.conv_norm(y, out, 1, act=None, scale=0.3)
            else:
                y = net.conv_norm(net.conv_norm(x, width, 3, stride), out, 3, act=None, scale=0.3)
            x = net.act(net.op("Add", y, short), "Relu")
    return net.classify(x)


def vgg11(net: Net, size: int):
    x = _image(net, size)
    for width, convs in ((64, 1), (128, 1), (256, 2), (512, 2), (512, 2)):
        for _ in range(convs):
            x = net.act(net.conv(x, width, 3, bias=True), "Relu")
        x = net.pool(x, "MaxPool", 2, 2)
    features = 512 * (size // 32) ** 2
    x = net.op("Flatten", x, axis=1)
    for before, after in ((features, 4096), (4096, 4096)):
        x = net.act(net.gemm(x, before, after), "Relu")
    return net.gemm(x, 4096, 1000)


def mobilenet_v1(net: Net, size: int):
    x = net.conv_norm(_image(net, size), 32, 3, 2)
    for out, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2),
                        (1024, 1)):
        x = net.conv_norm(x, net.channels[x], 3, stride, groups=net.channels[x])
        x = net.conv_norm(x, out, 1)
    return net.classify(x)


def _inverted(net: Net, x: str, middle: int, out: int, kernel: int, stride: int, act: str,
              squeeze: int = 0, gates: tuple[str, str] = ("Relu", "HardSigmoid")) -> str:
    """Expand, depthwise, squeeze and excite, project: MobileNet v2 and v3, EfficientNet."""
    y = x if middle == net.channels[x] else net.conv_norm(x, middle, 1, act=act)
    y = net.conv_norm(y, middle, kernel, stride, groups=middle, act=act)
    if squeeze:
        gate = net.act(net.conv(net.op("GlobalAveragePool", y), squeeze, 1, bias=True), gates[0])
        gate = net.conv(gate, middle, 1, bias=True)
        hard = {"alpha": 1 / 6, "beta": 0.5} if gates[1] == "HardSigmoid" else {}
        y = net.op("Mul", y, net.op(gates[1], gate, **hard))
    adds = stride == 1 and net.channels[x] == out
    y = net.conv_norm(y, out, 1, act=None, scale=0.5 if adds else 1.0)
    return net.op("Add", x, y) if adds else y


def mobilenet_v2(net: Net, size: int):
    x = net.conv_norm(_image(net, size), 32, 3, 2, act="Relu6")
    for expand, out, count, stride in ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
                                       (6, 160, 3, 2), (6, 320, 1, 1)):
        for block in range(count):
            x = _inverted(net, x, net.channels[x] * expand, out, 3, stride if block == 0 else 1, "Relu6")
    return net.classify(net.conv_norm(x, 1280, 1, act="Relu6"))


def mobilenet_v3(net: Net, size: int):
    x = net.conv_norm(_image(net, size), 16, 3, 2, act="HardSwish")
    for kernel, middle, out, squeeze, act, stride in (
            (3, 16, 16, 0, "Relu", 1), (3, 64, 24, 0, "Relu", 2), (3, 72, 24, 0, "Relu", 1),
            (5, 72, 40, 24, "Relu", 2), (5, 120, 40, 32, "Relu", 1), (5, 120, 40, 32, "Relu", 1),
            (3, 240, 80, 0, "HardSwish", 2), (3, 200, 80, 0, "HardSwish", 1), (3, 184, 80, 0, "HardSwish", 1),
            (3, 184, 80, 0, "HardSwish", 1), (3, 480, 112, 120, "HardSwish", 1), (3, 672, 112, 168, "HardSwish", 1),
            (5, 672, 160, 168, "HardSwish", 2), (5, 960, 160, 240, "HardSwish", 1), (5, 960, 160, 240, "HardSwish", 1)):
        x = _inverted(net, x, middle, out, kernel, stride, act, squeeze)
    x = net.conv_norm(x, 960, 1, act="HardSwish")
    x = net.op("Flatten", net.op("GlobalAveragePool", x), axis=1)
    return net.gemm(net.act(net.gemm(x, 960, 1280), "HardSwish"), 1280, 1000)


def efficientnet_b0(net: Net, size: int):
    x = net.conv_norm(_image(net, size), 32, 3, 2, act="Swish")
    for expand, out, count, stride, kernel in ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3),
                                               (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)):
        for block in range(count):
            wide = net.channels[x]
            x = _inverted(net, x, wide * expand, out, kernel, stride if block == 0 else 1, "Swish", wide // 4,
                          ("Swish", "Sigmoid"))
    return net.classify(net.conv_norm(x, 1280, 1, act="Swish"))


def squeezenet(net: Net, size: int):
    x = net.act(net.conv(_image(net, size), 64, 3, 2, 0, bias=True), "Relu")
    for squeeze, pooled in ((16, True), (16, False), (32, True), (32, False), (48, True), (48, False), (64, False),
                            (64, False)):
        if pooled:
            x = net.pool(x, "MaxPool", 3, 2, ceil_mode=1)
        x = net.act(net.conv(x, squeeze, 1, bias=True), "Relu")
        sides = [net.act(net.conv(x, squeeze * 4, k, bias=True), "Relu") for k in (1, 3)]
        x = net.op("Concat", *sides, channels=squeeze * 8, axis=1)
    x = net.act(net.conv(net.op("Dropout", x), 1000, 1, bias=True), "Relu")
    return net.op("Softmax", net.op("Flatten", net.op("GlobalAveragePool", x), axis=1), axis=1)


def densenet121(net: Net, size: int, blocks: tuple[int, ...] = (6, 12, 24, 16)):
    x = net.pool(net.conv_norm(_image(net, size), 64, 7, 2), "MaxPool", 3, 2, 1)
    for block, count in enumerate(blocks):
        if block > 0:
            x = net.conv(net.act(net.norm(x), "Relu"), net.channels[x] // 2, 1)
            x = net.pool(x, "AveragePool", 2, 2)
        for _ in range(count):
            y = net.conv(net.act(net.norm(x), "Relu"), 128, 1)
            y = net.conv(net.act(net.norm(y), "Relu"), 32, 3)
            x = net.op("Concat", x, y, channels=net.channels[x] + 32, axis=1)
    return net.classify(net.act(net.norm(x), "Relu"))


def _shuffle(net: Net, x: str, size: int) -> str:
    c = net.channels[x]
    y = net.op("Reshape", x, net.integers([1, 2, c // 2, size, size]))
    y = net.op("Transpose", y, perm=[0, 2, 1, 3, 4])
    return net.op("Reshape", y, net.integers([1, c, size, size]), channels=c)


def shufflenet_v2(net: Net, size: int):
    x = net.pool(net.conv_norm(_image(net, size), 24, 3, 2), "MaxPool", 3, 2, 1)
    for out, count, space in ((116, 4, size // 8), (232, 8, size // 16), (464, 4, size // 32)):
        half = out // 2
        for block in range(count):
            if block == 0:
                left = net.conv_norm(x, net.channels[x], 3, 2, groups=net.channels[x], act=None)
                left, right, stride = net.conv_norm(left, half, 1), x, 2
            else:
                left, right = net.op("Split", x, net.integers([half, half]), channels=half, outputs=2, axis=1)
                stride = 1
            right = net.conv_norm(right, half, 1)
            right = net.conv_norm(right, half, 3, stride, groups=half, act=None)
            right = net.conv_norm(right, half, 1)
            x = _shuffle(net, net.op("Concat", left, right, channels=out, axis=1), space)
    x = net.op("ReduceMean", net.conv_norm(x, 1024, 1), axes=[2, 3], keepdims=0)
    return net.gemm(x, 1024, 1000)


def inception_v3(net: Net, size: int):
    def tower(x: str, *layers: tuple) -> str:
        for layer in layers:
            x = net.conv_norm(x, *layer)
        return x

    def join(*towers: str) -> str:
        return net.op("Concat", *towers, channels=sum(net.channels[t] for t in towers), axis=1)

    def mean(x: str) -> str:
        return net.pool(x, "AveragePool", 3, 1, 1, count_include_pad=1)

    x = tower(_image(net, size), (32, 3, 2, 0), (32, 3, 1, 0), (64, 3))
    x = tower(net.pool(x, "MaxPool", 3, 2), (80, 1), (192, 3, 1, 0))
    x = net.pool(x, "MaxPool", 3, 2)
    for pooled in (32, 64, 64):
        x = join(tower(x, (64, 1)), tower(x, (48, 1), (64, 5)), tower(x, (64, 1), (96, 3), (96, 3)),
                 tower(mean(x), (pooled, 1)))
    x = join(tower(x, (384, 3, 2, 0)), tower(x, (64, 1), (96, 3), (96, 3, 2, 0)), net.pool(x, "MaxPool", 3, 2))
    row, column = (1, 7), (7, 1)
    for c in (128, 160, 160, 192):
        x = join(tower(x, (192, 1)), tower(x, (c, 1), (c, row), (192, column)),
                 tower(x, (c, 1), (c, column), (c, row), (c, column), (192, row)), tower(mean(x), (192, 1)))
    x = join(tower(x, (192, 1), (320, 3, 2, 0)), tower(x, (192, 1), (192, row), (192, column), (192, 3, 2, 0)),
             net.pool(x, "MaxPool", 3, 2))
    for _ in range(2):
        a, b = tower(x, (384, 1)), tower(x, (448, 1), (384, 3))
        x = join(tower(x, (320, 1)), *(tower(a, (384, k)) for k in ((1, 3), (3, 1))),
                 *(tower(b, (384, k)) for k in ((1, 3), (3, 1))), tower(mean(x), (192, 1)))
    return net.classify(x)

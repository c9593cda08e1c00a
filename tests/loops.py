"""Layers as plain loops over numbers, float64: the truth that tests of networks bring. One map [c y x], no batch."""

import numpy as np


def windows(height, width, kernel, stride, padding, *, ceil=False):
    """Where each window of each output position begins and ends inside the map: (v, u, top, bottom, left, right)."""

    def starts(side):
        room = side + 2 * padding - kernel
        count = (-(-room // stride) if ceil else room // stride) + 1
        if ceil and (count - 1) * stride >= side + padding:  # a window that begins beyond the map sees nothing
            count -= 1
        return [place * stride - padding for place in range(count)]

    for v, top in enumerate(starts(height)):
        for u, left in enumerate(starts(width)):
            yield v, u, max(top, 0), min(top + kernel, height), max(left, 0), min(left + kernel, width)


def pooled(maps, kernel, stride, padding, reduce, *, ceil=False):
    places = list(windows(maps.shape[1], maps.shape[2], kernel, stride, padding, ceil=ceil))
    tall, wide = places[-1][0] + 1, places[-1][1] + 1
    found = np.zeros((len(maps), tall, wide))
    for v, u, top, bottom, left, right in places:
        for c in range(len(maps)):
            found[c, v, u] = reduce(maps[c, top:bottom, left:right])
    return found


def max_pool(maps, kernel, stride, padding=0, *, ceil=False):
    return pooled(maps, kernel, stride, padding, np.max, ceil=ceil)


def mean_pool(maps, kernel, stride, padding):
    """The padding counts: the sum of what is inside over the size of the whole window."""
    return pooled(maps, kernel, stride, padding, lambda seen: seen.sum() / kernel**2)


def convolve(maps, weight, bias, stride=1, padding=0):
    _, height, width = maps.shape
    kernel = weight.shape[2]
    places = list(windows(height, width, kernel, stride, padding))
    found = np.zeros((len(weight), places[-1][0] + 1, places[-1][1] + 1))
    for v, u, top, bottom, left, right in places:
        y, x = v * stride - padding, u * stride - padding
        seen = maps[:, top:bottom, left:right]
        for o in range(len(weight)):
            found[o, v, u] = (seen * weight[o, :, top - y : bottom - y, left - x : right - x]).sum()
    return found if bias is None else found + bias[:, None, None]


def relu(values):
    return np.where(values > 0, values, 0.0)


def unit(values):
    return values / np.sqrt((values**2).sum())


def batch_norm(maps, mean, variance, weight, bias, epsilon=1e-5):
    """Of maps [c y x] with a mean and a variance for each channel."""
    columns = (one[:, None, None] for one in (mean, variance, weight, bias))
    mean, variance, weight, bias = columns
    return (maps - mean) / np.sqrt(variance + epsilon) * weight + bias


def numbers(tensor):
    """A tensor as float64."""
    return tensor.detach().numpy().astype(np.float64)

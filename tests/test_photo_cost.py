"""What a large photo costs: a worker of the service decodes every photo of 50 megapixels within its memory."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import costly_photos
from osoroi.image import icc
from osoroi.image.depth import to_eight_bits
from osoroi.server.settings import Settings

CODE = """
import resource, sys
sys.path.insert(0, sys.argv[1])
import costly_photos
from osoroi import image
from osoroi.records import Preprocessing
photo = costly_photos.COSTLY[sys.argv[3]]()
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[2]), int(sys.argv[2])))
print(image.crop(photo, None, Preprocessing(64, 64)).mean().round(1))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["PNG of 50 MP, 16 bits of grey", "PNG of 50 MP, 16 bits with alpha"])
def test_a_deep_photo_of_fifty_megapixels_fits_into_the_memory_of_a_worker(name):
    if sys.platform != "linux":
        pytest.skip("bounds the memory as Linux does")
    command = [sys.executable, "-c", CODE, str(Path(__file__).parent), str(Settings().decode_bytes), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    expected = costly_photos.COSTLY[name]()
    assert len(expected) < 2**20
    assert done.returncode == 0, done.stderr[-500:]
    assert float(done.stdout) in (0.0, 255.0)  # black, and nothing on white


@pytest.mark.parametrize("shape", [(3, 5), (2_000, 1_100), (1, 2_000_001), (1_100_000, 1), (600, 700, 3)])
def test_samples_in_strips_are_those_of_the_whole(shape):
    samples = np.random.default_rng(1).integers(0, 65_536, shape, dtype=np.uint16)
    whole = np.round(samples.astype(np.float64) * 255 / 65535).astype(np.uint8)
    assert np.array_equal(to_eight_bits(samples, 65535.0), whole)


def test_deep_grey_that_leaves_its_range_is_refused():
    for samples in (np.array([[0, 65_536]], np.int32), np.array([[-1, 5]], np.int32)):
        with pytest.raises(ValueError, match="nothing says what white is"):
            icc.from_deep(Image.fromarray(samples))
    with pytest.raises(ValueError, match="nothing says what white is"):
        icc.from_deep(Image.fromarray(np.array([[0.0, np.nan]], np.float32)))

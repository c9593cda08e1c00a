"""Words are compared with pictures by the text half of a brought backbone."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from archives import unpack
from brought import DIM, Tokens, clip_config, cosines, save, siglip_config, write_json
from osoroi import ingest
from osoroi.catalog.local import LocalCatalog
from osoroi.catalog.maintenance.backup import backup
from osoroi.catalog.opening import create_catalog, encoder_of, open_catalog, store_encoder
from osoroi.encoder import Encoder, text_tower
from osoroi.errors import BadEncoder
from osoroi.pretrained.make import make
from osoroi.records import Crop, Product, Row
from osoroi.search import Searcher
from osoroi.words.search import WordSearch

tokenizers = pytest.importorskip("tokenizers")

COLORS = {"alpha": (190, 30, 40), "beta": (30, 40, 80), "gamma": (20, 120, 60), "delta": (240, 220, 40)}
WORDS = ["[start]", "[end]", "[unknown]", *COLORS, "red", "dress", "a", "plain"]


def write_tokenizer(path):
    """A tokenizer of few words, with a token at the start and one at the end."""
    model = tokenizers.models.WordLevel({word: place for place, word in enumerate(WORDS)}, unk_token="[unknown]")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
        single="[start] $A [end]", special_tokens=[("[start]", 0), ("[end]", 1)]
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(path))


def text_graph(rows, length="length"):
    """The vector of the first word: a row of a table."""
    tensors = {"rows": rows.astype(np.float32), "second": np.array(1, np.int64)}
    nodes = [
        helper.make_node("Gather", ["input_ids", "second"], ["word"], axis=1),
        helper.make_node("Gather", ["rows", "word"], ["text_embeds"]),
    ]
    given = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", length])
    gives = helper.make_tensor_value_info("text_embeds", TensorProto.FLOAT, ["batch", rows.shape[1]])
    stored = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "text", [given], [gives], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def photo_of(color):
    pixels = np.full((120, 100, 3), 250, np.uint8)
    pixels[20:100, 30:70] = color
    pixels[40:60, 30:70] = color[::-1]
    return pixels


@pytest.fixture
def folder(tmp_path):
    """A folder with both halves: the vector of a word is that of the photo of its colour."""
    write_json(tmp_path / "in" / "preprocessor_config.json", siglip_config())
    save(Tokens().model(), tmp_path / "in" / "onnx" / "vision_model.onnx")
    write_tokenizer(tmp_path / "in" / "tokenizer.json")
    draft = make(tmp_path / "in", tmp_path / "draft.onnx").encoder
    rows = np.random.default_rng(5).normal(size=(len(WORDS), DIM)).astype(np.float32)
    deep = draft.encode_product([photo_of(color) for color in COLORS.values()])[:, draft.columns["deep"]]
    rows[3 : 3 + len(COLORS)] = 3 * deep
    save(text_graph(rows), tmp_path / "in" / "onnx" / "text_model.onnx")
    return tmp_path / "in", rows


def catalog(tmp_path, encoder):
    rows = []
    for name, color in COLORS.items():
        Image.fromarray(photo_of(color)).save(tmp_path / f"{name}.png")
        rows.append(Row(Product(f"p-{name}"), Crop(name, f"p-{name}", "shop", tmp_path / f"{name}.png")))
    products = LocalCatalog.open_or_create(tmp_path / "shop", encoder)
    ingest.add(rows, products, encoder)
    return products


@pytest.mark.parametrize("word", COLORS)
def test_a_word_brings_the_picture_that_the_text_model_means(folder, tmp_path, word):
    made = make(folder[0], tmp_path / "out.onnx")
    assert any("out.onnx.text" in note for note in made.notes)
    with catalog(tmp_path, made.encoder) as products:
        hits, _ = WordSearch(Searcher(made.encoder, products)).search(word, k=4)
    assert hits[0].product_id == f"p-{word}"
    assert hits[0].parts["deep"] == pytest.approx(1, abs=1e-3)


def test_a_word_and_a_photo_count_alike(folder, tmp_path):
    made = make(folder[0], tmp_path / "out.onnx")
    with catalog(tmp_path, made.encoder) as products:
        search = WordSearch(Searcher(made.encoder, products))
        hits, _ = search.search("alpha", photo_of(COLORS["beta"]), k=4)
    deep = made.encoder.encode_product([photo_of(color) for color in COLORS.values()])[:, made.encoder.columns["deep"]]
    mean = (
        deep[0]
        + search.searcher.encoder.encode_query([photo_of(COLORS["beta"])])[:, made.encoder.columns["deep"]][0]
        / made.encoder.parts[0].weight
    )
    expected = deep @ (mean / np.linalg.norm(mean))
    found = {hit.product_id: hit.parts["deep"] for hit in hits}
    assert [found[f"p-{name}"] for name in COLORS if f"p-{name}" in found] == pytest.approx(
        [value for name, value in zip(COLORS, expected, strict=True) if f"p-{name}" in found], abs=2e-3
    )


def test_a_catalog_keeps_the_text_tower_of_its_encoder(folder, tmp_path):
    made = make(folder[0], tmp_path / "out.onnx").encoder
    with create_catalog(tmp_path / "shop", fingerprint=made.fingerprint, dim=made.dim, parts=made.parts) as catalog:
        store_encoder(catalog, tmp_path / "out.onnx")
        backup(tmp_path / "shop", tmp_path / "shop.tar")
    unpack(tmp_path / "shop.tar", tmp_path / "again")
    with open_catalog(tmp_path / "again") as catalog:
        tower = text_tower.of(encoder_of(catalog))
        assert tower is not None
        expected = folder[1][WORDS.index("beta")]
        assert tower.vector("beta") @ (expected / np.linalg.norm(expected)) == pytest.approx(1, abs=1e-5)
        store_encoder(catalog, None)
        assert not list((tmp_path / "again").glob("encoder*"))


def test_the_tower_of_another_encoder_is_refused(folder, tmp_path):
    made = make(folder[0], tmp_path / "out.onnx").encoder
    text = text_tower.beside(tmp_path / "out.onnx")
    save(Tokens(seed=4).model(), folder[0] / "onnx" / "vision_model.onnx")
    make(folder[0], tmp_path / "other.onnx")
    text_tower.beside(tmp_path / "other.onnx").write_bytes(text.read_bytes())
    with pytest.raises(BadEncoder, match="belongs to the encoder"):
        text_tower.of(Encoder.open(tmp_path / "other.onnx"))
    text.write_bytes(b"no zip")
    with pytest.raises(BadEncoder, match="no text tower"):
        text_tower.of(made)


def test_halves_of_two_models_are_refused(folder, tmp_path):
    save(text_graph(folder[1][:, :8]), folder[0] / "onnx" / "text_model.onnx")
    with pytest.raises(BadEncoder, match="8 numbers"):
        make(folder[0], tmp_path / "out.onnx")


def test_a_fixed_length_is_filled_up_and_long_texts_are_cut(folder, tmp_path):
    save(text_graph(folder[1], length=4), folder[0] / "onnx" / "text_model.onnx")
    made = make(folder[0], tmp_path / "out.onnx").encoder
    tower = text_tower.of(made)
    assert tower is not None
    short, long = tower.vector("beta"), tower.vector("beta " * 50)
    assert np.array_equal(short, long)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_text_half_of_a_clip_gives_the_vectors_of_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    torch = pytest.importorskip("torch")
    from torch import nn

    from osoroi.model.export import quiet, shapes_unchecked
    from test_pretrained_families import clip

    torch.manual_seed(11)
    model = transformers.CLIPModel(clip()).eval()
    model.save_pretrained(tmp_path / "in")
    write_json(tmp_path / "in" / "preprocessor_config.json", clip_config())
    write_tokenizer(tmp_path / "in" / "tokenizer.json")

    class Text(nn.Module):
        def __init__(self):
            super().__init__()
            self.whole = model

        def forward(self, input_ids, attention_mask):
            features = self.whole.get_text_features(input_ids=input_ids, attention_mask=attention_mask)
            return features if isinstance(features, torch.Tensor) else features.pooler_output

    ids = torch.tensor([[0, 3, 4, 1], [0, 5, 6, 1]])
    length = torch.export.Dim("length", min=2, max=77)
    with quiet(), shapes_unchecked(), torch.inference_mode():
        program = torch.onnx.export(
            Text(), (ids, torch.ones_like(ids)), input_names=["input_ids", "attention_mask"],
            output_names=["text_embeds"], opset_version=18, dynamo=True, verbose=False,
            dynamic_shapes=({0: torch.export.Dim("batch"), 1: length}, {0: torch.export.Dim("batch"), 1: length}),
        )  # fmt: skip
    (tmp_path / "in" / "onnx").mkdir()
    program.save(str(tmp_path / "in" / "onnx" / "text_model.onnx"), external_data=True)
    made = make(tmp_path / "in", tmp_path / "out.onnx").encoder
    tower = text_tower.of(made)
    assert tower is not None
    fast = transformers.PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "in" / "tokenizer.json"))
    texts = ["a red dress", "beta", "plain alpha gamma delta unheard"]
    with torch.inference_mode():
        given = [fast(text) for text in texts]
        expected = [
            Text()(torch.tensor([each["input_ids"]]), torch.tensor([each["attention_mask"]])).numpy()[0]
            for each in given
        ]
    ours = np.stack([tower.vector(text) for text in texts])
    assert cosines(ours, np.stack(expected)).min() >= 0.999
    assert np.linalg.matrix_rank(ours, tol=1e-3) == len(texts)

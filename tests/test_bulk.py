"""Adding a table on several nodes of Ray: nothing is lost with a node, nothing is embedded twice."""

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import clusters
from osoroi.catalog.address import place_of
from osoroi.catalog.opening import open_catalog
from osoroi.cli.add import command
from osoroi.cli.new_catalog import opened
from osoroi.cluster import bulk
from osoroi.data.tabular import BadLine
from osoroi.errors import PARTLY, BadRequest, CatalogUnavailable
from osoroi.tables import TableShard, absolute, open_incoming
from small_encoder import write_encoder

PRODUCTS = 80


@pytest.fixture
def table(tmp_path: Path) -> str:
    """A table of small photos, of which one is broken, with a line that cannot be read."""
    lines = ["product_id,photo,price"]
    for number in range(PRODUCTS):
        pixels = np.random.default_rng(number).integers(0, 255, (24, 24, 3), np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        lines.append(f"p{number},{number}.png,{number}")
    (tmp_path / "5.png").write_bytes(b"no photo")
    (tmp_path / "table.csv").write_text("\n".join([*lines, "bad,1.png,dear"]))
    return f"table:{tmp_path / 'table.csv'}"


def made(address: str, table: str, encoder: Path) -> bulk.BulkTask:
    """An empty catalog that keeps an encoder, and the task that fills it."""
    place = place_of(address)
    with opened(place, encoder, threads=1):
        pass
    return bulk.BulkTask(place, table)


def test_parts_of_a_table_are_the_table(postgres_address, table, tmp_path):
    task = made(postgres_address, table, write_encoder(tmp_path / "small.onnx"))
    parts = [task.run(TableShard(number, 3)) for number in (1, 2, 3)]
    whole = bulk.together(parts)
    count = (whole.count.added, whole.count.embedded, whole.count.left_out, whole.count.unreadable)
    assert count == (PRODUCTS - 1, PRODUCTS - 1, 1, 1)
    assert min(part.count.added for part in parts) > 10
    assert [problem.product_id for problem in whole.problems] == ["p5"]
    assert [line.product_id for line in whole.bad_lines] == ["bad"]
    again = bulk.together([task.run(TableShard(number, 2)) for number in (1, 2)])
    assert (again.count.unchanged, again.count.embedded) == (PRODUCTS - 1, 0)


def test_a_line_that_cannot_be_read_comes_from_another_process_as_it_was(tmp_path):
    line = BadLine(tmp_path / "a.csv", "line 3", "no price", hint="write a number", product_id="p1")
    copied = pickle.loads(pickle.dumps(line))  # noqa: S301
    assert (str(copied), vars(copied)) == (str(line), vars(line))


def test_a_data_set_means_the_same_in_another_folder(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert open_incoming("table:table.csv").name == table
    assert open_incoming("table:table.csv?encoding=utf-8").name == f"{table}?encoding=utf-8"


def test_options_of_a_table_mean_the_same_in_another_folder(table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.toml").write_text("")
    (tmp_path / "pictures").mkdir()
    named = "table:table.csv?recipe={}own.toml&photos={}pictures&encoding=utf-8"
    own = f"{tmp_path}/"
    assert absolute(named.format("", "")) == named.format(own, own).replace("table.csv", f"{own}table.csv")
    assert absolute("table:table.csv?recipe=shopify") == f"{table}?recipe=shopify"


def test_a_part_that_is_lost_with_its_worker_is_an_error_of_ours(monkeypatch):
    class WorkerCrashedError(Exception):
        """What Ray raises, without the package."""

    def lost(_: object) -> None:
        raise WorkerCrashedError("the worker died\nlong advice")

    part = SimpleNamespace(remote=lambda *_: "part")
    task_of_ray = SimpleNamespace(options=lambda **_: part)
    ray = SimpleNamespace(
        cluster_resources=lambda: {"CPU": 1},
        remote=lambda run: task_of_ray,
        wait=lambda waiting: (waiting[:1], waiting[1:]),
        get=lost,
        cancel=lambda one: None,
        shutdown=lambda: None,
        exceptions=SimpleNamespace(RayError=WorkerCrashedError, RayTaskError=KeyError),
    )
    monkeypatch.setattr(bulk, "extra", lambda *_: ray)
    monkeypatch.setattr(bulk, "connect", lambda address: None)
    task = bulk.BulkTask(Path("shop"), "drawn:4")
    with pytest.raises(CatalogUnavailable, match=r"WorkerCrashedError: the worker died\); what was committed stays"):
        bulk.add(task, open_incoming("drawn:4"), "local")


@pytest.mark.parametrize(
    ("arguments", "says"), [(["shop"], "is a folder"), (["postgresql://db/shops", "--shard", "1/2"], "parts by itself")]
)
def test_what_only_one_machine_can_do_is_refused(arguments, says, table):
    with pytest.raises(BadRequest, match=says):
        CliRunner().invoke(command, [*arguments[:1], table, "--ray", "auto", *arguments[1:]], catch_exceptions=False)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::ResourceWarning")
def test_nothing_is_lost_with_a_node(postgres_address, table, tmp_path):
    pytest.importorskip("ray", reason="needs the package ray: pip install 'osoroi[cluster]'")
    task = made(postgres_address, table, write_encoder(tmp_path / "small.onnx"))
    lost: list[int] = []
    with clusters.nodes() as nodes:
        nodes.add(cpus=2)

        def kill(done: int) -> None:
            if not lost:
                nodes.kill()
                lost.append(done)

        added = bulk.add(task, open_incoming(table), nodes.address, lines_per_task=4, on_progress=kill)
        words = [postgres_address, table, "--ray", nodes.address, "--no-measure", "--json"]
        again = CliRunner().invoke(command, words)
    assert again.exit_code == PARTLY, again.output
    counted = json.loads(again.stdout.strip().splitlines()[-1])
    assert (counted["unchanged"], counted["embedded"], counted["bad_lines"]) == (PRODUCTS - 1, 0, 1)
    assert lost, "a node was killed in the middle"
    assert lost[0] < PRODUCTS // 2
    assert (added.count.added + added.count.unchanged, added.count.left_out) == (PRODUCTS - 1, 1)
    assert added.count.embedded <= PRODUCTS - 1
    assert [problem.product_id for problem in added.problems] == ["p5"]
    with open_catalog(task.place) as catalog:
        assert len(catalog) == PRODUCTS - 1

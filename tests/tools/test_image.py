"""make image-check reads Dockerfile and .dockerignore as Docker does, and notices a COPY that is missing."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from common.events.topics import SERVICES
from tools.image.build import BuildFailed, build, needless
from tools.image.dockerfile import Context, Copy, Dockerfile, NotUnderstood, Run
from tools.image.sandbox import Sandbox

REPOSITORY = Path(__file__).parents[2]
SMALL = """\
FROM python:3.11-slim
ARG SERVICE
ENV SERVICE=${SERVICE} HOME=/tmp
WORKDIR /srv
COPY settings.txt .
COPY parts/${SERVICE} parts/${SERVICE}
# a comment, also between the lines
RUN test -s settings.txt && \\
    # of one instruction
    test -f parts/${SERVICE}/one.txt
RUN mkdir -p /var/lib/kept && chown 65534:65534 /var/lib/kept
VOLUME ["/tmp", "/var/lib/kept"]
USER 65534
ENTRYPOINT ["sh", "-c"]
CMD ["true"]
"""
TEMPORARY = "/tmp"  # noqa: S108 - the image's own
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root changes to another user")


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    """A context with one part of a service and one file that nobody needs."""
    root = tmp_path / "context"
    (root / "parts" / "small" / "__pycache__").mkdir(parents=True)
    (root / "parts" / "small" / "one.txt").write_text("one")
    (root / "parts" / "small" / "__pycache__" / "one.pyc").write_text("")
    (root / "settings.txt").write_text("settings")
    return root


@pytest.fixture
def passable() -> Iterator[Path]:
    """A folder that another user may enter; pytest's own are closed."""
    with TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        yield Path(place)


def image(text: str = SMALL) -> Dockerfile:
    return Dockerfile.read(text, {"SERVICE": "small"})


def test_the_steps_and_how_the_image_runs_are_read() -> None:
    read = image()

    assert read.steps == [
        Copy(("settings.txt",), ".", "COPY settings.txt ."),
        Copy(("parts/small",), "parts/small", "COPY parts/${SERVICE} parts/${SERVICE}"),
        Run("test -s settings.txt &&     test -f parts/${SERVICE}/one.txt"),
        Run("mkdir -p /var/lib/kept && chown 65534:65534 /var/lib/kept"),
    ]
    assert read.environment == {"SERVICE": "small", "HOME": TEMPORARY}
    assert (read.directory, read.user, read.volumes) == ("/srv", "65534", [TEMPORARY, "/var/lib/kept"])
    assert (read.entrypoint, read.command) == (["sh", "-c"], ["true"])


@pytest.mark.parametrize(
    "line",
    ["ADD a b", "COPY --from=other a b", "RUN --mount=type=cache x", "CMD api", "WORKDIR srv", "COPY a"],
)
def test_what_is_not_understood_is_refused_by_its_line(line: str) -> None:
    with pytest.raises(NotUnderstood, match=line):
        image(f"FROM x\n{line}\n")


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("requirements.lock", True),
        ("libs/common/src/common/clock.py", True),
        ("services/booking/migrations/env.py", True),
        ("services/booking/src/booking/__pycache__/settings.cpython-311.pyc", False),
        ("services/booking/.env", False),
        ("services/booking/.mypy_cache/x.json", False),
        (".venv/bin/python", False),
        (".git/config", False),
        ("var/secrets.json", False),
        ("deploy/env/booking.env", False),
    ],
)
def test_what_a_build_is_sent(path: str, sent: bool) -> None:  # noqa: FBT001
    assert Context.of(REPOSITORY).sends(Path(path)) is sent


def test_a_rule_of_the_context_can_be_taken_back_by_a_later_one(tmp_path: Path) -> None:
    (tmp_path / ".dockerignore").write_text("# all but one\n*\n!kept\n**/*.pyc\nkept/?.txt\n")
    context = Context.of(tmp_path)

    answers = {path: context.sends(Path(path)) for path in ("a", "kept/a", "kept/b/c.pyc", "kept/a.txt")}

    assert answers == {"a": False, "kept/a": True, "kept/b/c.pyc": False, "kept/a.txt": False}


def test_only_what_is_copied_is_there_and_every_copy_is_needed(sent: Path, tmp_path: Path) -> None:
    context = Context.of(sent)
    (base := tmp_path / "image").mkdir()

    folder = build(base, image(), context, {"SERVICE": "small"})

    found = {str(each.relative_to(folder.work)) for each in folder.work.rglob("*") if each.is_file()}
    assert found == {"settings.txt", "parts/small/one.txt", "parts/small/__pycache__/one.pyc"}
    assert folder.inside("/var/lib/kept").is_dir()
    assert folder.environment()["HOME"] == str(folder.inside(TEMPORARY))
    assert needless(tmp_path / "without", folder, context) == []


@pytest.mark.parametrize("line", ["COPY settings.txt .\n", "COPY parts/${SERVICE} parts/${SERVICE}\n"])
def test_a_build_without_one_of_its_copies_fails(sent: Path, tmp_path: Path, line: str) -> None:
    (base := tmp_path / "image").mkdir()

    with pytest.raises(BuildFailed, match="RUN test -s settings"):
        build(base, image(SMALL.replace(line, "")), Context.of(sent), {"SERVICE": "small"})


def test_a_copy_that_nothing_needs_is_found(sent: Path, tmp_path: Path) -> None:
    context = Context.of(sent)
    (sent / "more").mkdir()
    (sent / "more" / "a.txt").write_text("a")
    (base := tmp_path / "image").mkdir()
    folder = build(base, image(SMALL.replace("# a", "COPY more more\n# a", 1)), context, {"SERVICE": "small"})

    assert needless(tmp_path / "without", folder, context) == ["COPY more more"]


def test_a_copy_of_what_is_not_sent_fails(sent: Path, tmp_path: Path) -> None:
    (sent / ".dockerignore").write_text("settings.txt\n")
    (base := tmp_path / "image").mkdir()

    with pytest.raises(BuildFailed, match=r"settings\.txt is not in what the build is sent"):
        build(base, image(), Context.of(sent), {"SERVICE": "small"})


@AS_ROOT
def test_a_process_writes_in_the_volumes_alone_and_is_another_user(sent: Path, passable: Path) -> None:
    (base := passable / "image").mkdir()
    folder = build(base, image(), Context.of(sent), {"SERVICE": "small"})
    sandbox = Sandbox.of(base, folder.root, folder.volumes, "65534:65534")
    if sandbox.limits:
        pytest.skip(sandbox.limits[0])
    open_to_all = folder.inside("/srv")
    open_to_all.chmod(0o777)  # so that it is not the permissions that forbid it

    def said(command: str) -> tuple[int, str]:
        done = subprocess.run(
            [*sandbox.prefix, "sh", "-c", command], capture_output=True, text=True, check=False
        )
        return done.returncode, done.stdout + done.stderr

    assert said("id -u; id -g") == (0, "65534\n65534\n")
    assert said(f"touch {folder.inside(TEMPORARY)}/x {folder.inside('/var/lib/kept')}/x")[0] == 0
    status, why = said(f"touch {open_to_all}/x")
    assert status != 0
    assert "Read-only file system" in why


def test_the_image_of_a_service_copies_it_and_the_library_and_nothing_else() -> None:
    text = (REPOSITORY / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    for service in SERVICES:
        read = Dockerfile.read(text, {"SERVICE": service})

        copied = [step.sources for step in read.steps if isinstance(step, Copy)]
        assert copied == [("requirements.lock",), ("libs/common",), (f"services/{service}",)]
        assert read.user == "65534:65534"

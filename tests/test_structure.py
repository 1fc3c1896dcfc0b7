"""Conventions that hold for the whole repository."""

import ast
import json
import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SOURCES = sorted([ROOT / "app.py", *ROOT.glob("vae_demo/**/*.py")])
CORE = sorted(ROOT.glob("vae_demo/*.py"))


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_name(path) for path in SOURCES}


def imports(path):
    """The modules a file imports anywhere, by full name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: import by full name"
            inner = {f"{node.module}.{alias.name}" for alias in node.names} & MODULES
            found |= inner or {node.module}
    return found


def top(module):
    return module.partition(".")[0]


# Who may import whom ------------------------------------------------------------------------------


def test_only_the_user_interface_imports_gradio():
    users = {module_name(path) for path in SOURCES if "gradio" in map(top, imports(path))}
    assert {name for name in users if name != "app" and not name.startswith("vae_demo.ui")} == set()


def test_nothing_in_the_core_imports_the_user_interface():
    wrong = {
        (module_name(path), name)
        for path in CORE
        for name in imports(path)
        if name.startswith("vae_demo.ui")
    }
    assert wrong == set()


def test_nothing_imports_the_app():
    assert [path for path in SOURCES if "app" in imports(path)] == []


@pytest.mark.parametrize("name", ["losses", "models", "images", "latent", "corruptions"])
def test_the_ground_floor_stands_alone(name):
    assert imports(ROOT / "vae_demo" / f"{name}.py") & MODULES == set()


def test_imports_run_in_one_direction():
    graph = {module_name(path): imports(path) & MODULES for path in SOURCES}
    TopologicalSorter(graph).prepare()  # raises CycleError


# Importing does nothing ---------------------------------------------------------------------------

PROBE = """
import os, sys
root, names, heavy = sys.argv[1], sys.argv[2].split(), sys.argv[3].split()
done = []

def watch(event, arguments):
    if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
        path = os.path.abspath(os.fsdecode(arguments[0]))
        writing = arguments[1] and set(arguments[1]) & set("wax+")
        code = path.endswith((".py", ".pyc", ".pyi"))  # Gradio writes stubs beside its subclasses
        libraries = path.startswith(sys.prefix)  # Gradio keeps a seed beside itself
        if not code and (path.startswith(root) or writing) and not libraries:
            done.append(f"open {path}")
    elif event in ("socket.connect", "socket.getaddrinfo", "urllib.Request", "subprocess.Popen"):
        done.append(f"{event} {arguments}")

sys.addaudithook(watch)
sys.argv = ["app.py", "--no-such-option"]
sys.path.insert(0, root)
import importlib
for name in names:
    importlib.import_module(name)
import torch
done += [f"import {name}" for name in heavy if name in sys.modules]
done += ["CUDA"] if torch.cuda.is_initialized() else []
print("\\n".join(done))
"""


@pytest.mark.parametrize(
    ("names", "heavy"),
    [
        ([module_name(path) for path in CORE], "gradio umap sklearn numba torchvision plotly"),
        (sorted(MODULES), "umap sklearn numba torchvision"),
    ],
    ids=["core", "all"],
)
def test_importing_reads_writes_connects_and_parses_nothing(tmp_path, names, heavy):
    command = [sys.executable, "-B", "-c", PROBE, str(ROOT), " ".join(names), heavy]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, ""), result.stderr


# Pins ---------------------------------------------------------------------------------------------


def normalised(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(lines):
    """name → versions, of lines like `name==1.2 ; marker`; networkx may have one per Python."""
    found = {}
    for line in lines:
        match = re.fullmatch(r"([\w.-]+)==([\w.]+)( ; .+)?", line)
        assert match, f"not an exact pin: {line}"
        found.setdefault(normalised(match[1]), set()).add(match[2])
    return found


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def required(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return pins(line for line in lines if line and not line.lstrip().startswith("#"))


def test_the_requirements_are_the_projects_pins(project):
    users, developers = required("requirements.txt"), required("requirements-dev.txt")
    direct = pins(project["dependencies"])
    extra = pins(project["optional-dependencies"]["dev"])
    assert direct.items() <= users.items(), "run the commands on top of pyproject.toml"
    assert users.items() <= developers.items()
    assert extra.items() <= developers.items()
    assert not extra.keys() & users.keys(), "users do not need the developers' tools"


def test_whatever_is_imported_is_pinned(project):
    distributions = packages_distributions()
    imported = {top(name) for path in SOURCES for name in imports(path)}
    imported -= sys.stdlib_module_names | {"vae_demo"}
    imported -= {"accelerate"}  # is there where `accelerate launch` started the command
    needed = {normalised(distributions[name][0]) for name in imported}
    assert needed - pins(project["dependencies"]).keys() == set()


# Words --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def texts():
    folder = ROOT / "vae_demo" / "ui" / "text"
    return {
        language: dict(flat(json.loads((folder / f"{language}.json").read_text(encoding="utf-8"))))
        for language in ("en", "ko")
    }


def flat(node, path=""):
    """Leaves of nested dictionaries and lists: (path, text)."""
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from flat(value, f"{path}.{key}")
    else:
        yield path, node


def test_both_languages_say_the_same_things(texts):
    assert texts["en"].keys() == texts["ko"].keys()
    empty = [
        (language, key)
        for language, table in texts.items()
        for key, text in table.items()
        if not (isinstance(text, str) and text.strip())
    ]
    assert empty == []


def test_both_languages_leave_the_same_gaps(texts):
    def gaps(text):
        return sorted(re.findall(r"\{\w*\}", text))

    differing = [key for key, text in texts["en"].items() if gaps(text) != gaps(texts["ko"][key])]
    assert differing == []


# Files --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files():
    """Every file of the repository, by its path from the root."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listing = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs a git checkout: {error}")
    return [name for name in listing.split("\0") if name and (ROOT / name).exists()]


def test_file_names_say_what_is_inside(files):
    vague = {"utils", "util", "helpers", "helper", "manager", "misc", "common"}
    assert [name for name in files if Path(name).stem in vague] == []


def test_no_data_set_is_committed(files):
    assert [name for name in files if re.search(r"ubyte|\.unipen|\.idx\d|/raw/", name)] == []


def test_nothing_is_left_to_do(files):
    marker = re.compile("TO" + "DO|FIX" + "ME|XX" + "X")
    readable = (".py", ".js", ".css", ".html", ".md", ".toml", ".json")
    left = [
        f"{name}: {line.strip()}"
        for name in files
        if name.endswith(readable)
        for line in (ROOT / name).read_text(encoding="utf-8").splitlines()
        if marker.search(line)
    ]
    assert left == []


def test_each_test_id_is_on_the_page_once():
    """But for the choosers of models, which page.js makes."""
    html = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("vae_demo/ui/*.html"))
    ids = re.findall(r'data-testid="([^"]+)"', html)
    assert sorted(ids) == sorted(set(ids))

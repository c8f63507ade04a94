"""What may not stand in our code, held by reading it (DESIGN: security from the first commit)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SOURCES = sorted([*(ROOT / "components").rglob("*.py"), *(ROOT / "flows").rglob("*.py")])
MODULES = {"pickle", "joblib", "cloudpickle", "dill", "shelve", "marshal"}
CALLS = {
    "torch.load",
    "torch.save",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "os.system",
    "os.popen",
    "eval",
    "exec",
    "np.save",
    "np.savez",
    "numpy.save",
}
WRITERS = {
    "write_text",
    "write_bytes",
    "savez",
    "savez_compressed",
    "to_csv",
    "to_parquet",
    "save_file",
    "tofile",
}
CLOCKS = {
    "time.time",
    "time.time_ns",
    "datetime.now",
    "datetime.utcnow",
    "datetime.today",
    "date.today",
    "time.sleep",
    "time.perf_counter",
    "time.monotonic",
}


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def offences(text: str, name: str) -> list[str]:
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [f"import {a.name}" for a in node.names if a.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom):
            found += [f"from {node.module}"] if (node.module or "").split(".")[0] in MODULES else []
        elif isinstance(node, ast.Call):
            found += _call(node, name)
    return found


def _call(node: ast.Call, name: str) -> list[str]:
    what, found = dotted(node.func), []
    if what in CALLS:
        found.append(what)
    if any(k.arg == "shell" and getattr(k.value, "value", None) is True for k in node.keywords):
        found.append("shell=True")
    if any(
        k.arg == "allow_pickle" and getattr(k.value, "value", None) is not False
        for k in node.keywords
    ):
        found.append("allow_pickle")
    if what in {"np.load", "numpy.load"} and not any(
        k.arg == "allow_pickle" for k in node.keywords
    ):
        found.append("np.load without allow_pickle=False")
    if name not in {"clock.py", "failpoints.py"} and what in CLOCKS:
        found.append(what)
    attribute = node.func.attr if isinstance(node.func, ast.Attribute) else what
    if (
        name != "workspace.py"
        and attribute in WRITERS
        and not what.startswith(("self.", "files.", "workspace.", "job.", "Workspace"))
        and not _ours(node)
    ):
        found.append(f"{what or attribute}: a writer outside workspace")
    if name != "workspace.py" and (what == "open" or attribute == "open") and _write_mode(node):
        found.append("open for writing outside workspace")
    return found


def _ours(node: ast.Call) -> bool:
    """`write_bytes(name, data)` is a Workspace's; a Path's takes the data alone."""
    return (
        isinstance(node.func, ast.Attribute)
        and node.func.attr == "write_bytes"
        and len(node.args) == 2
    )


def _write_mode(node: ast.Call) -> bool:
    modes = [
        a.value
        for a in [*node.args, *(k.value for k in node.keywords if k.arg == "mode")]
        if isinstance(a, ast.Constant) and isinstance(a.value, str)
    ]
    return any(set(mode) & set("wax+") and set(mode) <= set("rwabtx+") for mode in modes)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_holds_nothing_banned(path):
    assert offences(path.read_text(), path.name) == []


@pytest.mark.parametrize(
    "text",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(p)",
        "yaml.load(t)",
        "subprocess.run('x', shell=True)",
        "np.load(p, allow_pickle=True)",
        "np.load(p)",
        "time.time()",
        "datetime.now()",
        "p.write_text('x')",
        "p.write_bytes(b'x')",
        "open(p, 'w')",
        "p.open('wb')",
        "p.open(mode='a')",
    ],
)
def test_the_ban_sees_what_it_is_for(text):
    assert offences(text, "x.py")


@pytest.mark.parametrize(
    "text",
    [
        "np.load(p, allow_pickle=False)",
        "open(p)",
        "p.open('rb')",
        "files.write_bytes('a', b'x')",
        "yaml.safe_load(t)",
    ],
)
def test_the_ban_lets_the_rest_pass(text):
    assert offences(text, "x.py") == []

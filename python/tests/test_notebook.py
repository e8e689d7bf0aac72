"""Progress in notebooks: what a kernel sends them to display."""

import os
import sys
import typing
from pathlib import Path

import pytest

pytest.importorskip("ipykernel", reason="ipykernel is for notebooks: pip install it")
pytest.importorskip("ipywidgets", "7", "ipywidgets 7 is not in Debian 12: pip install it")
manager = pytest.importorskip("jupyter_client.manager")

WIDGET = "application/vnd.jupyter.widget-view+json"
SETUP = """
from tessera import JobState, Progress, TaskProgress, _bar

def progress(state, trials, seconds):
    task = TaskProgress("a", "key a", trials, 16, seconds, {}, False, "", None, 1)
    return Progress(3, state, "", (task,), 12.5, 75.0)

bar = _bar.display("job 3", {"key a": 4e-6}.get)
"""
SHOW = """
bar.show(progress(JobState.RUNNING, 8, None))
bar.show(progress(JobState.DONE, 16, 1e-6))
bar.close()
"""


class Notebook:
    """A kernel, and the messages that notebooks make outputs of cells of."""

    def __init__(self) -> None:
        path = os.pathsep.join(entry for entry in sys.path if entry)
        self._manager = manager.KernelManager(kernel_name="python3")
        self._manager.kernel_spec.argv[0] = sys.executable  # where others are installed, too
        self._manager.start_kernel(env={**os.environ, "PYTHONPATH": path})
        self._client = self._manager.blocking_client()
        self._client.start_channels()
        try:
            self._client.wait_for_ready(timeout=60)
        except RuntimeError:
            self.stop()
            raise

    def run(self, code: str) -> typing.List[typing.Dict[str, typing.Any]]:
        messages: typing.List[typing.Dict[str, typing.Any]] = []
        reply = self._client.execute_interactive(code, timeout=60, output_hook=messages.append)
        assert reply["content"]["status"] == "ok", reply["content"]
        return messages

    def stop(self) -> None:
        self._client.stop_channels()
        self._manager.shutdown_kernel(now=True)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> typing.Iterator[Notebook]:
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path))
    notebook = Notebook()
    yield notebook
    notebook.stop()


def states(messages: typing.Iterable[typing.Dict[str, typing.Any]]) -> typing.List[typing.Any]:
    """What widgets were made with and what became of them, in order."""
    return [
        message["content"]["data"]["state"]
        for message in messages
        if message["msg_type"] in ("comm_open", "comm_msg")
    ]


def test_a_notebook_has_a_bar_of_widgets(notebook: Notebook) -> None:
    made = notebook.run(SETUP)
    displayed = [message["content"]["data"] for message in made if message["msg_type"] == "display_data"]
    assert [WIDGET in data for data in displayed] == [True]
    assert any(state.get("_model_name") == "FloatProgressModel" for state in states(made))
    shown = states(notebook.run(SHOW))
    values = [state["value"] for state in shown if "value" in state]
    # Some releases of tqdm have spaces that browsers don't collapse.
    texts = [value.replace("\u2007", " ") for value in values if isinstance(value, str)]
    assert " 8/16, 12.5/s, 1:15 left" in texts
    assert texts[-2:] == ["job 3 100%", " 16/16, gain 4.00x, a 1 us"]
    # The bar itself, of which trials are a part.
    assert {"max": 16.0} in shown
    assert [value for value in values if isinstance(value, float)][-2:] == [8, 16]
    assert {"bar_style": "success"} in shown

"""No token is ever written or shown in plain text."""

import re

import private_integrations as pi
from integrations import declare
from private_integrations.contract import TOKEN_PATTERN


def test_no_token_in_state_logs_previews(stack, tmp_path):
    """Through create, edit, rotation, refresh and destroy no file and no output has a token or the key."""
    said = [stack.up(declare()).text]
    tokens = {stack.output("token")}
    said.append(stack.up(declare(scopes=["contacts.write"])).text)
    stack.program = declare(scopes=["contacts.write"], rotation=pi.Rotation(trigger="again"))
    said.append(stack.preview(diff=True).text)
    log = tmp_path / "engine.log"
    said.append(stack.up(debug=True, log_verbosity=9, log_to_std_err=True).text)
    tokens.add(stack.output("token"))
    said.append(stack.refresh().text)
    written = stack.everything_written()
    said.append(stack.destroy().text)
    assert len(tokens) == 2
    everything = "\n".join([written, stack.everything_written(), *said, log.read_text() if log.exists() else ""])
    assert TOKEN_PATTERN.search(everything) is None
    assert re.search(r"pmk-[0-9a-f]{64}", everything) is None

"""The commands of the README that move the service to several machines work as they are pasted."""

import re

from machines import Machine, new_token
from throwaway import REPOSITORY

README = (REPOSITORY / "README.md").read_text()
PLACE = "postgresql://service@db.example.com/integrations"
PAGE = (REPOSITORY / "docs" / "postgresql.md").read_text()


def test_the_three_commands_of_the_readme(tmp_path, postgres_database):
    """A copied token works on both machines, both are listed, and a revocation on one holds on the other at once."""
    [block] = re.findall(r"```sh\n(private-integrations copy .*?)```", README, re.DOTALL)
    copy, serve, replicas = block.replace(PLACE, postgres_database).splitlines()
    first, second = Machine(tmp_path / "first"), Machine(tmp_path / "second")
    with first.serving():
        management = first.management(first.key)
        account = management.account
        integration, token = new_token(management)
        assert first.status(token, account) == 200

    first.run(copy)

    with first.serving(serve), second.serving(serve):
        [promise] = re.findall(r"^a change that ends a token .*?(?=;)", PAGE, re.MULTILINE)
        assert promise in first.said
        variables = {"PRIVATE_INTEGRATIONS_URL": second.url, "PRIVATE_INTEGRATIONS_KEY": first.key}
        states = [line.split()[-1] for line in second.run(replicas, **variables).splitlines()[1:]]
        assert sorted(states) == ["alive", "answering"]
        assert (first.status(token, account), second.status(token, account)) == (200, 200)
        management = first.management(first.key, account)
        assert management.ask("POST", f"/integrations/{integration}/expire", {"generations": [1]}).status_code == 200
        assert second.status(token, account) == 401

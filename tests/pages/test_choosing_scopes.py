"""Choosing scopes with a script: the list follows while one types, and nothing of a choice is lost on the way."""

from walking import begin


def test_the_list_follows_while_one_types(screen):
    """A search leaves what it finds, the choice stays, and going back and forth finds all that was entered."""
    page = screen.page
    begin(screen, "CRM sync", "Nightly export")
    page.get_by_label("Search by scope, area or path").press_sequentially("upsert")
    page.locator("input[type=checkbox][value='forms.readonly']").wait_for(state="detached")
    page.locator("input[type=checkbox][value='contacts.write']").check()
    page.get_by_text("Your choice: 1 scope").wait_for()
    page.get_by_label("Search by scope, area or path").fill("calendars/groups")
    page.locator("input[type=checkbox][value='calendars/groups.readonly']").check()
    page.get_by_text("Your choice: 2 scopes").wait_for()
    page.go_back()
    assert page.get_by_label("Name").input_value() == "CRM sync"
    assert page.get_by_label("Description").input_value() == "Nightly export"
    page.go_forward()
    assert page.locator("#choice code").all_inner_texts() == ["calendars/groups.readonly", "contacts.write"]
    screen.press("Next: token")
    assert page.locator("main code").all_inner_texts() == ["calendars/groups.readonly", "contacts.write"]

"""Guards of the page that shows what is going on."""

from __future__ import annotations

from mutants.mutant import PRODUCER, Mutant

HERE = f"{PRODUCER}/dashboard"
OF_ACCESS, OF_PAGES, OF_READING = (
    f"{where}.py"
    for where in ("integration/test_dashboard_access", "integration/test_dashboard", "unit/test_dashboard_reading")
)

DASHBOARD = (
    Mutant(
        name="dashboard: token",
        protects="nothing is shown to who has not shown the token",
        file=f"{HERE}/guard.py",
        old='is_public or self._access.permits(headers.get("authorization", ""), headers.get("cookie", ""))',
        new="True",
        tests=(f"{OF_ACCESS}::test_without_the_token_nothing_is_told",),
    ),
    Mutant(
        name="dashboard: signature of the cookie",
        protects="nobody makes a cookie without the token",
        file=f"{HERE}/access.py",
        old="return is_ours and until.isascii()",
        new="return until.isascii()",
        tests=(f"{OF_ACCESS}::test_a_cookie_ends_and_cannot_be_made_without_the_token",),
    ),
    Mutant(
        name="dashboard: end of the cookie",
        protects="a cookie that was stolen is worth something for hours only",
        file=f"{HERE}/access.py",
        old=" and int(until) > time.time()",
        new="",
        tests=(f"{OF_ACCESS}::test_a_cookie_ends_and_cannot_be_made_without_the_token",),
    ),
    Mutant(
        name="dashboard: host",
        protects="a foreign site cannot read the page through a name that it bends to this machine",
        file=f"{HERE}/access.py",
        old="return self.token is not None or is_loopback(_host_name(host))",
        new="return True",
        tests=(f"{OF_ACCESS}::test_a_name_that_was_bent_to_this_machine_is_refused",),
    ),
    Mutant(
        name="dashboard: address",
        protects="without a token other machines cannot reach the page",
        file=f"{HERE}/server.py",
        old="if settings.dashboard_token is None and not is_loopback(host):",
        new="if False:",
        tests=(f"{OF_ACCESS}::test_no_other_address_is_taken_without_a_token",),
    ),
    Mutant(
        name="dashboard: escaping",
        protects="what others wrote is text, never markup",
        file=f"{HERE}/rendering.py",
        old="autoescape=True",
        new="autoescape=False",
        tests=(f"{OF_PAGES}::test_what_others_wrote_is_escaped_everywhere",),
    ),
    Mutant(
        name="dashboard: content security policy",
        protects="even markup that got through would run nothing",
        file=f"{HERE}/guard.py",
        old="    for name, value in HEADERS.items():\n        headers[name] = value\n",
        new="",
        tests=(f"{OF_ACCESS}::test_every_answer_tells_the_browser_to_be_strict",),
    ),
    Mutant(
        name="dashboard: where the form leads",
        protects="the form leads to no other site",
        file=f"{HERE}/app.py",
        old='is_ours = path.startswith("/") and not path.startswith(("//", "/\\\\"))',
        new="is_ours = True",
        tests=(f"{OF_ACCESS}::test_the_form_leads_nowhere_else",),
    ),
    Mutant(
        name="dashboard: bounded reading",
        protects="a page costs the same however many batches are open",
        file=f"{HERE}/remembered.py",
        old="return islice(super().marked_batches(type_), self._most)",
        new="return super().marked_batches(type_)",
        tests=(f"{OF_READING}::test_a_page_costs_the_same_however_many_batches_are_open",),
    ),
    Mutant(
        name="dashboard: shared reading",
        protects="many who look cost as much as one",
        file=f"{HERE}/shared.py",
        old="        async with self._lock:\n            if self._known",
        new="        if True:\n            if self._known",
        tests=(f"{OF_READING}::test_many_who_look_at_once_cost_one_reading",),
    ),
    Mutant(
        name="dashboard: streams end",
        protects="it stops at once although somebody looks",
        file=f"{HERE}/server.py",
        old="        self._streams.close()\n",
        new="",
        tests=(f"{OF_PAGES}::test_a_stream_ends_in_good_order_with_the_server",),
    ),
)

"""Faults that are put into the core by hand, one at a time, to see that a test finds each of them.

The table is data: a file of the core, a text that occurs in it once, the text in its place, what that breaks, and the
test that fails then. ``tools/mutants`` runs that test on each fault, and ends with an error where it passes.
"""

from __future__ import annotations

from typing import NamedTuple

STORIES = "tests/simulation/test_stories.py"


class Mutant(NamedTuple):
    """One fault."""

    name: str
    file: str  # below the core
    old: str
    new: str
    breaks: str  # a clause
    test: str  # a story without its test_, or a test with its path

    @property
    def path(self) -> str:
        """The test as pytest takes it."""
        return self.test if self.test.startswith("tests/") else f"{STORIES}::test_{self.test}"

    def put_into(self, source: str) -> str:
        """The source with the fault in it. Raises ValueError where its place is not there, or there twice."""
        if source.count(self.old) != 1:
            raise ValueError(f"{self.name}: its text occurs {source.count(self.old)} times in {self.file}")
        return source.replace(self.old, self.new)


POLICY = "tests/unit/drain/test_policy.py::test_"
HISTORY = "tests/unit/drain/test_history.py::test_"
LEDGER = "tests/unit/host/test_ledger.py::test_"

MUTANTS = (
    # --- policy
    Mutant(
        "the deadline comes early",
        "drain/policy.py",
        "late = elapsed >= plan.timeout\n",
        "late = elapsed >= plan.timeout - 5.0\n",
        "SIGKILL goes out 5 s before the deadline",
        "at_the_deadline_and_not_before",
    ),
    Mutant(
        "the deadline comes late",
        "drain/policy.py",
        "late = elapsed >= plan.timeout\n",
        "late = elapsed >= plan.timeout + 60.0\n",
        "a run takes a minute more than it may",
        "at_the_deadline_and_not_before",
    ),
    Mutant(
        "a fault that passes is less patient",
        "drain/policy.py",
        "    if not profile.keeps_work:\n",
        "    if not profile.keeps_work and not (seen.reading and seen.reading.passing):\n",
        "work that nobody sees is dropped after PATIENCE where the database only restarts",
        "unseen_work_of_a_service_that_drops_it_is_waited_for",
    ),
    Mutant(
        "a fault that lasts is less patient",
        "drain/policy.py",
        "    if not profile.keeps_work:\n",
        "    if not profile.keeps_work and (seen.reading is None or seen.reading.passing):\n",
        "a wrong password drops work that nobody sees",
        "a_password_that_is_wrong_holds_what_would_drop_its_work_until_an_exit_needs_the_rest",
    ),
    Mutant(
        "no reading at all is less patient",
        "drain/policy.py",
        "    if not profile.keeps_work:\n",
        "    if not profile.keeps_work and seen.reading is not None:\n",
        "a database that hangs drops work that nobody sees",
        "no_answer_at_all_holds_what_would_drop_its_work_until_an_exit_needs_the_rest",
    ),
    Mutant(
        "nothing is kept for an unseen exit",
        "drain/policy.py",
        "    if elapsed + seen.look >= last_call:\n",
        "    if elapsed >= plan.timeout:\n",
        "a service whose database is away is killed without a signal",
        "of_a_short_budget_half_is_kept_for_the_exit_where_nothing_can_be_read",
    ),
    Mutant(
        "a slow look is none",
        "drain/policy.py",
        "    if elapsed + seen.look >= last_call:\n",
        "    if elapsed >= last_call:\n",
        "with a slow engine the last chance for a signal falls between two looks",
        "an_unseen_service_has_its_signal_though_a_slow_look_would_come_after_its_last_chance",
    ),
    Mutant(
        "an outage hides work that was seen",
        "drain/policy.py",
        '    if seen.waiting_for:\n        return Decision(Action.WAIT, "quiescing; its evidence cannot be',
        '    if False:\n        return Decision(Action.WAIT, "quiescing; its evidence cannot be',
        "an outage ends the wait for work that was in flight as it began",
        "work_that_was_seen_is_waited_for_through_an_outage",
    ),
    Mutant(
        "one empty reading is enough",
        "drain/policy.py",
        "EMPTY_READINGS = 2\n",
        "EMPTY_READINGS = 1\n",
        "the signal falls between two steps of one request",
        "one_empty_reading_may_fall_between_two_steps_of_a_request",
    ),
    Mutant(
        "a longer budget does not count",
        "drain/policy.py",
        "    elapsed -= seen.given_more ",
        "    elapsed -= 0.0 ",
        "a run with a short budget signals over work that another run waits for",
        "a_shorter_budget_does_not_signal_work_that_a_longer_one_waits_for",
    ),
    Mutant(
        "nobody unpauses",
        "drain/policy.py",
        "Decision(Action.UNPAUSE,",
        "Decision(Action.WAIT,",
        "a paused container stays paused up to its deadline",
        "a_paused_container_is_unpaused_once_and_then_stopped",
    ),
    Mutant(
        "nobody cancels a restart",
        "drain/policy.py",
        "Decision(Action.CANCEL_RESTART,",
        "Decision(Action.WAIT,",
        "the engine starts again what is being stopped",
        "a_restart_is_cancelled_again_when_the_first_call_was_lost",
    ),
    Mutant(
        "on_timeout is always kill",
        "drain/policy.py",
        "Action.LEAVE if request.on_timeout is OnTimeout.LEAVE else Action.KILL",
        "Action.KILL",
        "a container that was to be left running is killed",
        "left_running_it_goes_on_and_a_second_call_joins",
    ),
    Mutant(
        "no first look",
        "drain/policy.py",
        "if seen.reads and seen.reading is None and elapsed",
        "if not seen.reads and seen.reading is None and elapsed",
        "what was in flight at the signal is not known",
        "what_needs_no_quiesce_is_looked_at_once_before_its_signal",
    ),
    # --- plan
    Mutant(
        "a drain for a service without one",
        "drain/plan.py",
        "return Plan(signal, timeout, timeout, 0.0, reason)",
        "return Plan(signal, timeout, timeout / 2, timeout / 2, reason)",
        "a service that drops its work is signalled with work in flight",
        "a_service_that_drops_its_work_is_not_signalled_while_it_has_some",
    ),
    Mutant(
        "nothing is kept for the drain",
        "drain/plan.py",
        "signal, timeout, timeout - drain, drain,",
        "signal, timeout, timeout, 0.0,",
        "a service that keeps its work is killed with it, unsignalled",
        "the_deadline_counts_from_the_start_of_quiesce",
    ),
    Mutant(
        "the exit may take all of the budget",
        "drain/plan.py",
        "drain = min(profile.exit_seconds, timeout / 2)",
        "drain = min(profile.exit_seconds, timeout)",
        "a short budget has no quiesce",
        POLICY + "budget",
    ),
    # --- one signal
    Mutant(
        "the intent is not kept",
        "drain/one_signal.py",
        "intended = context.ledger.intend(replace(entry, signal=context.plan.signal))",
        "intended = replace(entry, signal=context.plan.signal)",
        "a run that dies in the middle of the signal leaves no trace of it, and the next one sends a second",
        "a_signal_that_a_run_had_just_sent_as_it_died_is_not_sent_again",
    ),
    Mutant(
        "the engine's events do not count",
        "drain/one_signal.py",
        "            if signal in known:\n",
        "            if signal in known and entry.intent is not None:\n",
        "a process that somebody else has signalled is signalled again",
        "somebody_else_sent_it_while_it_was_quiesced",
    ),
    Mutant(
        "no question right before the signal",
        "drain/one_signal.py",
        'if entry is None or self._had(entry) != "":',
        "if entry is None:",
        "what was signalled since the last look is signalled again",
        "somebody_else_sent_it_while_it_was_quiesced",
    ),
    Mutant(
        "the signal takes no lock",
        "drain/one_signal.py",
        "        with context.ledger.held(context.container.id):\n            entry = self._unsignalled()\n",
        "        with contextlib.nullcontext():\n            entry = self._unsignalled()\n",
        "two runs side by side send one signal each",
        "two_runs_that_are_about_to_signal_send_one",
    ),
    Mutant(
        "no doubt",
        "drain/one_signal.py",
        "DOUBT = 20.0\n",
        "DOUBT = 0.0\n",
        "a call that comes late is made again meanwhile",
        "a_restart_is_not_cancelled_twice_while_the_first_call_may_come_late",
    ),
    Mutant(
        "doubt without an end",
        "drain/one_signal.py",
        'return None if context.clock() - self._doubt_from < DOUBT else ""',
        "return None",
        "a signal that was lost is never sent",
        "a_signal_that_a_run_was_about_to_send_as_it_died_is_sent_by_the_next",
    ),
    Mutant(
        "a call under way does not count",
        "drain/one_signal.py",
        "if sent.pending or context.ledger.on_its_way(entry):",
        "if sent.pending:",
        "a signal is sent beside the slow one of another run",
        "a_slow_signal_of_a_run_beside_this_one_is_waited_for",
    ),
    Mutant(
        "what the engine forgot was not there",
        "drain/one_signal.py",
        " or sent.covers_from > entry.intent_wall:",
        ":",
        "a signal that nobody can confirm any more is sent again",
        "a_signal_whose_call_broke_off_is_not_sent_twice",
    ),
    Mutant(
        "an intent that nobody took stays",
        "drain/one_signal.py",
        'context.entry = replace(intended, intent=None, intent_wall=None, sender="")',
        "context.entry = intended",
        "a signal that no engine was there to take counts as under way",
        "a_signal_that_nobody_was_there_to_take_is_sent_at_the_next_look",
    ),
    Mutant(
        "a cancelled restart counts as nothing",
        "drain/one_signal.py",
        "if entry.intent is not None and entry.intent in (self._own_intent, self.cancel_intent):",
        "if entry.intent is not None and entry.intent == self._own_intent:",
        "our own signal is taken for somebody else's, and the stop is called drained unseen",
        "a_cancelled_restart_that_comes_late_is_our_own_signal",
    ),
    Mutant(
        "a cancelled restart has met nobody",
        "drain/settle.py",
        "if verified and self._signal.cancelled_late:",
        "if False:",
        "a life that nobody saw is called drained, although its work was first read after the signal",
        "a_cancelled_restart_may_have_met_a_life_that_nobody_saw",
    ),
    Mutant(
        "a decision by the ledger of before a call",
        "drain/one_signal.py",
        "            self._as_it_is_now(entry)\n",
        "            pass\n",
        "work is dropped that a run which has just joined waits for",
        "a_longer_budget_counts_that_came_while_the_engine_was_asked",
    ),
    Mutant(
        "a deadline is written over",
        "drain/one_signal.py",
        "entry = current  # another run may have made its deadline longer just now",
        "pass",
        "a run is killed before the deadline that another was promised",
        "a_deadline_made_longer_while_a_signal_is_learnt_of_is_kept",
    ),
    # --- kill
    Mutant(
        "a kill whoever waits",
        "drain/kill.py",
        '            if longer:\n                return f"{reason}, but {longer}"\n',
        "",
        "a run with a short budget kills what another run waits for",
        "a_longer_deadline_is_kept_by_both",
    ),
    Mutant(
        "a kill again whoever waits",
        "drain/kill.py",
        '                    if longer:\n                        return f"SIGKILL failed',
        '                    if False:\n                        return f"SIGKILL failed',
        "a SIGKILL that failed is repeated although another run waits for longer",
        "a_kill_that_failed_is_not_tried_again_where_another_run_gave_it_longer",
    ),
    Mutant(
        "a kill is tried once",
        "drain/kill.py",
        "                    context.engine.kill(found.id)\n",
        "                    pass\n",
        "a SIGKILL that the engine could not take is the end",
        "a_kill_that_the_engine_could_not_take_is_tried_again",
    ),
    Mutant(
        "a kill without an end",
        "drain/kill.py",
        "if context.clock() < context.deadline + KILL_BOUND:",
        "if context.clock() < context.deadline + 1e6:",
        "a process that hangs in the kernel is waited for without end",
        "a_kill_that_the_engine_never_takes_is_told_of",
    ),
    Mutant(
        "a kill for each life",
        "drain/kill.py",
        "            if self._sent_before:\n",
        "            if self._sent_before and self.at is not None:\n",
        "what is started again after its SIGKILL is killed without end",
        "what_is_started_again_after_its_kill_is_left_and_told_of",
    ),
    # --- settle and verdict
    Mutant(
        "any reading is the last",
        "drain/settle.py",
        "return self._first_final is not None and answer.number >= self._first_final",
        "return self._first_final is not None",
        "a reading from before the exit tells how the work ended",
        "a_late_reading_from_before_the_exit_does_not_tell_how_it_ended",
    ),
    Mutant(
        "a look afterwards will do",
        "drain/settle.py",
        "        if self._signal.blind_life is not None:\n",
        "        if False:\n",
        "work whose row has gone at our signal is called drained",
        "what_nobody_could_look_at_before_our_signal_is_not_verified",
    ),
    Mutant(
        "unread is verified",
        "drain/settle.py",
        "return None if answer.reading.passing else self.judge(verified=False)",
        "return None if answer.reading.passing else self.judge(verified=True)",
        "a stop is called drained although nothing could be read after it",
        "what_nobody_could_look_at_after_the_exit_is_not_verified",
    ),
    Mutant(
        "our SIGKILL was the cause",
        "drain/settle.py",
        "if self._kill.at is not None and self._context.container.exit_code in (None, KILLED_CODE):",
        "if self._kill.at is not None:",
        "a container that exited by itself is called killed",
        "one_that_exits_by_itself_while_sigkill_is_on_its_way_was_not_killed",
    ),
    Mutant(
        "asked about once",
        "drain/settle.py",
        "        if not self._asked_twice:\n",
        "        if self._asked_twice:\n",
        "the end of an operation that only a late reading showed stays unknown",
        "what_only_a_late_reading_shows_is_told",
    ),
    Mutant(
        "another's SIGKILL is nobody's",
        "drain/settle.py",
        "return Killer.ANOTHER if self._killed_by_another else Killer.NOBODY",
        "return Killer.NOBODY",
        "a container that another run killed is called cut or drained",
        "tests/unit/drain/test_settle.py::test_who_ended_it",
    ),
    Mutant(
        "cut is drained",
        "drain/verdict.py",
        "    if interrupted:\n        return Verdict.CUT, how\n",
        "",
        "lost work is called drained",
        "every_state_has_its_answer",
    ),
    Mutant(
        "rows that tell nothing verify",
        "drain/verdict.py",
        "    if not profile.sees_work:\n",
        "    if False:\n",
        "a conductor is called drained although no row shows its work",
        "rows_that_tell_of_no_work_verify_nothing",
    ),
    Mutant(
        "work that nobody saw is verified",
        "drain/settle.py",
        "        elif verified and context.history.unseen:\n",
        "        elif False:\n",
        "a conductor is called drained although its processes did not tell what they work on",
        "what_processes_did_not_tell_is_not_verified",
    ),
    # --- history
    Mutant(
        "a late request was there before",
        "drain/history.py",
        "self._operations(working, late=moment is not Moment.BEFORE_SIGNAL)",
        "self._operations(working, late=False)",
        "a request that still waits in the queue is called interrupted",
        HISTORY + "what_is_first_seen_after_the_signal_may_still_be_queued",
    ),
    Mutant(
        "every error is an end of its own",
        "drain/history.py",
        "            if failed and moment is Moment.BEFORE_SIGNAL:\n",
        "            if failed:\n",
        "what failed of the signal is called finished",
        "a_signal_of_a_run_beside_this_one_counts_from_when_it_was_sent",
    ),
    Mutant(
        "an error is never taken back",
        "drain/history.py",
        "        self._ended.update((key, ending) for key, ending in self._failed.items() if key in self._ended)\n",
        "",
        "what failed of somebody else's signal is called finished",
        "what_failed_after_a_signal_that_nobody_noticed_did_not_finish",
    ),
    Mutant(
        "unread is standing still",
        "drain/history.py",
        "        self._freshness.blind(now)\n",
        "",
        "an outage makes slow work dead, and nobody waits for it",
        HISTORY + "a_row_that_nobody_could_read_did_not_stand_still",
    ),
    Mutant(
        "the dead are waited for",
        "drain/history.py",
        "if op.key not in self.dead)",
        "if op.key)",
        "work that hangs uses up the budget",
        "a_row_that_stands_still_where_rows_are_refreshed_is_not_waited_for",
    ),
    # --- the stop and its loop
    Mutant(
        "a joined stop begins anew",
        "drain/stop.py",
        "context.begun, context.deadline = context.entry.begun, context.entry.deadline",
        "context.begun, context.deadline = context.started, context.started + context.plan.timeout",
        "each run that joins a stop makes it longer",
        "the_budget_of_a_joined_stop_counts_from_its_start",
    ),
    Mutant(
        "a signal lasts for all lives",
        "drain/stop.py",
        "        self._signal.new_life()\n",
        "",
        "what was started again is never signalled, and killed at the deadline",
        "what_the_engine_starts_again_is_signalled_in_its_new_life",
    ),
    Mutant(
        "the last look ends at some look",
        "drain/stop.py",
        "deadline + policy.KILL_BOUND, self._settlement.waits_until)",
        "deadline + policy.KILL_BOUND)",
        "an answer that is late prolongs the last look",
        "the_last_look_is_over_in_time_though_its_answer_is_late",
    ),
    Mutant(
        "a run forgets that it has signalled",
        "drain/stop.py",
        " or self._signal.ours or self._kill.was_sent",
        " or self._kill.was_sent",
        "what was signalled and started again is not watched any more when the disk is full",
        "a_run_that_has_signalled_watches_on_though_the_next_life_cannot_be_recorded",
    ),
    Mutant(
        "the last look has no bound",
        "drain/stop.py",
        "if now >= self._settlement.waits_until:",
        "if now >= self._settlement.waits_until + 1e6:",
        "a database that is away after the exit is waited for without end",
        "what_nobody_could_look_at_after_the_exit_is_not_verified",
    ),
    Mutant(
        "a silent engine has no bound",
        "drain/stop.py",
        "if context.clock() >= context.deadline + policy.KILL_BOUND:",
        "if context.clock() >= context.deadline + 1e6:",
        "an engine that does not answer is asked without end",
        "a_silent_engine_costs_one_call_a_round_and_not_one_a_container",
    ),
    Mutant(
        "a lock has no bound",
        "drain/stop.py",
        "if now - self._locked_out_since >= bound:",
        "if now - self._locked_out_since >= 1e6:",
        "a run that hangs with the lock makes all others hang",
        "a_lock_that_another_does_not_let_go_of_is_told_of",
    ),
    Mutant(
        "the last look takes long",
        "drain/policy.py",
        "VERIFY_BOUND = 10.0",
        "VERIFY_BOUND = 120.0",
        "a restart waits for two minutes where the database is away",
        "never_readable_it_falls_back_to_exit_and_deadline",
    ),
    Mutant(
        "a full disk ends the watch",
        "drain/stop.py",
        "            if self._is_under_way:\n",
        "            if False:\n",
        "what was signalled is not watched any more, and runs on after its deadline",
        "a_disk_that_is_full_right_after_the_signal_does_not_end_the_watch",
    ),
    Mutant(
        "a stalled engine ends the doubt",
        "drain/stop.py",
        "        self._signal.doubt_anew()\n",
        "",
        "a signal that waits in a stalled engine is sent again as it comes to itself",
        "a_signal_that_a_stalled_engine_delivers_long_after_its_run_died_is_not_sent_again",
    ),
    Mutant(
        "one container after the other",
        "drain/loop.py",
        "at_once([stop.step for stop in open_stops])",
        "[stop.step() for stop in open_stops]",
        "the answers of a slow engine add up, and the deadline passes before the signal",
        "a_slow_engine_is_asked_about_all_at_once",
    ),
    # --- the ledger
    Mutant(
        "the wall clock measures deadlines",
        "host/ledger.py",
        "_join(old, new, self._clock())",
        "_join(old, new, self._wall())",
        "no stop is ever joined, because all deadlines have passed by that clock",
        "the_budget_of_a_joined_stop_counts_from_its_start",
    ),
    Mutant(
        "a shorter deadline wins",
        "host/ledger.py",
        "return replace(old, deadline=max(old.deadline, longer), owners=owners), True",
        "return replace(old, deadline=longer, owners=owners), True",
        "a run that joins cuts the budget of the first one",
        LEDGER + "a_second_joins_with_the_deadline_of_the_first",
    ),
    Mutant(
        "a new budget forgets the signal",
        "host/ledger.py",
        "        intent=old.intent,\n        intent_wall=old.intent_wall,\n        signalled=old.signalled,\n",
        "",
        "what was signalled before the deadline is signalled again after it",
        "a_signal_of_somebody_else_is_kept_where_the_engine_forgets_it",
    ),
    Mutant(
        "the dead wait, too",
        "host/ledger.py",
        "return [owner for owner in owners.splitlines() if lives(owner)]",
        "return owners.splitlines()",
        "the budget of a run that died is waited for",
        "a_longer_budget_of_a_run_that_died_is_nobodys",
    ),
    Mutant(
        "a later life's entry goes, too",
        "host/ledger.py",
        "if entry is not None and entry.life == life:",
        "if entry is not None:",
        "the end of one life makes the ledger forget the signal of the next",
        LEDGER + "the_entry_of_a_later_life_stays",
    ),
    Mutant(
        "a signal in a later life",
        "model.py",
        'return replace(self, started_at=started_at, intent=None, intent_wall=None, signalled=None, sender="")',
        "return replace(self, started_at=started_at)",
        "what was started again counts as signalled, and is killed at the deadline",
        LEDGER + "another_life_has_had_no_signal",
    ),
)

"""Each row of the page "What happens when ..." is proved by a test that exists."""

import re
from functools import cache

import pytest

from harness.pages import ROOT

PAGE = ROOT / "docs" / "what-happens.md"
TESTS = ROOT / "tests"
_ROW = re.compile(r"^\| <!-- ([a-z-]+) --> (.+)\|$", re.MULTILINE)
_TEST = re.compile(r"^ *(?:async )?def (test_\w+)\(", re.MULTILINE)
ROWS: dict[str, str] = dict(_ROW.findall(PAGE.read_text(encoding="utf-8")))

PROOFS = {
    # A handler or a body fails
    "handler-raises": "test_a_crash_brings_the_message_back_first",
    "last-attempt": "test_a_poison_message_goes_to_the_dead_letters_with_its_history",
    "exception-group": "test_whatever_a_handler_raises_poisons_its_message_only",
    "no-text": "test_whatever_a_handler_raises_poisons_its_message_only",
    "stop-iteration": "test_whatever_a_handler_raises_poisons_its_message_only",
    "base-exception": "test_what_is_no_exception_breaks_the_run_off_from_anywhere",
    "stray-cancelled": "test_a_stray_cancelled_is_one_message_s_failure",
    "task-raises": "test_a_failure_ends_the_run_and_keeps_what_was_finished",
    "source-raises": "test_a_restarted_stream_reads_again",
    "batch-raises": "test_a_failed_batch_comes_back_one_by_one",
    "one-body-raises": "test_a_crash_rejects_one_message_and_the_others_finish_theirs",
    "leased-block-raises": "test_an_exception_that_leaves_run_is_a_crash_as_well",
    "released": "test_a_message_that_is_given_back_for_ever_is_a_dead_letter_in_the_end",
    "rejected": "test_a_rejected_message_comes_next_and_is_a_dead_letter_in_the_end",
    # A function or hook of yours fails
    "factory-raises": "test_a_class_that_cannot_be_made_escalates",
    "start-raises": "test_start_that_fails_after_a_crash",
    "stop-raises": "test_an_error_in_stop_after_a_normal_end_fails_the_incarnation",
    "stop-raises-after": "test_an_error_in_stop_after_a_failure_does_not_hide_it",
    "stop-hangs": "test_stop_has_a_budget_when_cancelled",
    "settled-raises": "test_a_function_that_raises_hurts_nobody",
    "on-down-raises": "test_on_down_may_wait_and_send_and_its_failure_is_the_watchers",
    "rule-raises": "test_a_rule_that_raises_loses_neither_message_nor_failure",
    "key-raises": "test_a_message_without_a_usable_key_is_poison_for_its_relay_only",
    "map-raises": "test_over_a_stream_a_poison_item_is_skipped_and_the_order_of_others_kept",
    "map-list-raises": "test_the_first_failure_ends_it_at_once",
    "choice-raises": "test_a_choice_that_raises_puts_nothing_back",
    # It does not end
    "never-returns": "test_the_wait_for_a_handler_that_never_returns_is_shown",
    "timeout": "test_a_message_that_takes_too_long_is_a_failed_attempt",
    "timeout-caught": "test_one_that_catches_it_and_returns_has_failed_all_the_same",
    "timeout-shielded": "test_a_shielded_handler_is_told_of_while_it_goes_on",
    "cancel-caught": "test_who_catches_the_cancel_and_asks_on_has_its_message_released",
    "cancel-cleanup": "test_what_a_clean_up_raises_leaves_the_run_cancelled",
    "kill-cleanup": "test_what_a_killed_node_raises_in_its_clean_up_fails_nobody",
    "yields-in-cleanup": "test_a_generator_that_yields_in_its_clean_up_ends",
    "ignores-exit": "test_one_that_swallows_the_end_is_closed",
    "blocks-the-loop": "test_names_node_and_line_once_and_says_when_it_is_over",
    "deaf-thread": "test_a_thread_that_ignores_its_cancel_is_abandoned_and_named",
    "never-asks": "test_an_actor_that_ends_unread_is_named",
    # Restarts and groups
    "intensity": "test_intensity_then_the_last_failure_goes_up",
    "temporary": "test_a_temporary_actor_that_fails_is_let_go",
    "resumed": "test_resume_gives_up_the_message_and_goes_on_as_it_was",
    "stopped-by-rule": "test_stop_gives_up_the_message_and_ends_the_node_normally",
    "group-restarts": "test_messages_outlive_a_restart_of_the_whole_group",
    "group-gives-up": "test_a_top_group_that_gives_up_fails_the_run_with_the_story",
    "significant": "test_any_significant_ends_the_group_with_its_outputs",
    "parent-restarts": "test_children_of_a_restarting_parent_are_stopped_before_it_starts_again",
    "child-given-up": "test_a_child_that_is_given_up_fails_its_parent",
    "max-children": "test_no_more_than_max_children_at_a_time",
    # Messages and edges
    "expired": "test_a_message_that_is_late_is_never_handled",
    "expired-in-hand": "test_a_handler_runs_under_its_messages_deadline",
    "full": "test_dropping_policies_keep_what_they_say",
    "reader-ended": "test_a_consumer_that_ends_early_ends_its_producer",
    "sender-ended": "test_the_end_comes_once_after_everything_and_nothing_comes_after_it",
    "invalid": "test_validation_dead_letters_what_does_not_fit",
    "wrong-from-outside": "test_a_wrong_type_is_refused_and_costs_nothing",
    "empty-stream": "test_an_empty_stream_is_an_error_that_names_it",
    "too-many": "test_too_many_values_are_an_error_that_names_the_bound",
    "cycle-refused": "test_a_cycle_without_feedback_is_named_whole_with_the_edge_to_declare",
    "cycle-dry": "test_a_cycle_ends_when_it_is_dry",
    "cycle-crash": "test_a_crash_in_a_cycle_loses_nothing",
    # Control, drain and the end
    "paused": "test_a_paused_node_holds_up_those_before_it",
    "stopped": "test_stop_ends_one_node_and_the_rest_goes_on",
    "killed": "test_kill_is_idempotent_and_concerns_nobody_else",
    "reconfigure-refused": "test_if_one_value_is_wrong_nothing_changes",
    "probation": "test_a_failure_on_probation_brings_the_former_back",
    "source-cut": "test_a_stuck_source_is_cancelled_after_half_the_budget",
    "budget-over": "test_a_stuck_sink_is_cancelled_at_the_end",
    "cancelled": "test_cancel_is_cancelled_not_failed",
    "block-raises": "test_an_exception_in_the_block_cancels_and_arrives_bare",
    "first-ctrl-c": "test_the_first_signal_drains",
    "second-ctrl-c": "test_the_second_signal_cancels_a_stuck_actor",
    "third-ctrl-c": "test_the_third_signal_leaves_a_blocked_loop_at_once",
    "stdout-closed": "test_head_ends_a_run",
    # Questions
    "no-reply": "test_nobody_replies_and_that_is_known_at_once",
    "ask-failed": "test_a_responder_that_fails_each_time_fails_the_asker",
    "ask-timeout": "test_a_reply_that_comes_too_late_is_counted_and_kept",
    "ask-restarting": "test_asking_one_that_is_being_restarted",
    "ask-ended": "test_a_question_in_the_queue_of_one_that_ends_comes_back",
    "ask-dropped": "test_a_question_that_overflow_drops_gets_no_reply",
    "ask-cycle": "test_a_ring_of_questions_is_told_at_once",
    "asker-cancelled": "test_an_asker_that_is_cancelled_waits_no_longer",
    # Processes, files and the store
    "not-picklable": "test_an_argument_that_cannot_go_is_named",
    "worker-dies": "test_a_process_that_dies_is_named_and_replaced",
    "worker-cancelled": "test_a_cancel_kills_the_process",
    "letters-disk-full": "test_a_file_that_can_not_be_written_any_more",
    "letters-misfit": "test_a_letter_that_fits_nowhere",
    "store-full": "test_a_full_disk_is_told_and_loses_nothing",
    "store-killed": "test_what_was_acknowledged_survives_any_kill",
    "store-unreadable": "test_a_newer_schema_is_refused_and_left_alone",
    # Runs of a workspace
    "run-killed": "test_a_killed_run_is_failed_and_resumes_where_it_was",
    "run-twice": "test_of_several_processes_that_start_a_run_one_does",
    "run-ended": "test_resume_keeps_what_was_finished_and_rerun_does_not",
    "run-other-config": "test_the_configuration_is_a_part_of_the_run_and_comes_back",
    "run-taken-over": "test_a_run_that_was_taken_over_fails_and_says_so",
    "run-disk-full": "test_a_journal_that_takes_no_more_ends_the_run_as_failed",
    "run-no-folder": "test_a_place_that_cannot_be_written_is_told_before_anything_runs",
    "run-aborted": "test_an_abort_reaches_a_run_from_outside",
    "run-clock": "test_clocks_that_jump_change_no_phase_and_no_time_is_negative",
}


@cache
def known() -> frozenset[str]:
    """Return the names of all tests, wherever they stand."""
    files = sorted(TESTS.rglob("test_*.py"))
    return frozenset(name for each in files for name in _TEST.findall(each.read_text("utf-8")))


def test_every_row_has_a_proof_and_every_proof_a_row() -> None:
    assert list(ROWS) == list(PROOFS)


@pytest.mark.parametrize("row", PROOFS)
def test_the_proof_of_a_row_exists(row: str) -> None:
    assert PROOFS[row] in known()


def test_a_row_fills_its_columns() -> None:
    wrong = [row for row, text in ROWS.items() if len(text.split("|")) != 5]
    assert not wrong

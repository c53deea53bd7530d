"""Guards of results that two processes collect together: what one would give, or an error."""

from __future__ import annotations

from mutants.mutant import WORKERS, Mutant

RESULTS = f"{WORKERS}/results"
OF_HELPER, OF_TOGETHER, OF_TALLY = (f"unit/test_{name}.py" for name in ("results_helper", "together", "results_tally"))
SAME = f"{OF_HELPER}::test_two_processes_give_what_one_gives"

SHARING = (
    Mutant(
        name="sharing: after a crash",
        protects="a process that crashed while another one helped does not try the same again and again",
        file=f"{WORKERS}/pipeline/collecting.py",
        old="    if lease.starts <= 1:\n",
        new="    if lease:\n",
        tests=("integration/test_guards_of_results.py::test_who_crashed_before_works_alone",),
    ),
    Mutant(
        name="sharing: alone after a failure",
        protects="a job is collected though no second process can live beside the first",
        file=f"{WORKERS}/pipeline/collecting.py",
        old="                if not helper.is_there:\n",
        new="                if helper:\n",
        tests=("integration/test_guards_of_results.py::test_a_process_that_helps_and_dies_is_done_without",),
    ),
    Mutant(
        name="sharing: all rows",
        protects="no line is lost between two processes",
        file=f"{RESULTS}/collection.py",
        old="        if sum(share.read for share in found) != self.answer.rows_stored:\n",
        new="        if not found:\n",
        tests=(f"{OF_HELPER}::test_rows_that_got_lost_are_noticed",),
    ),
    Mutant(
        name="sharing: numbers of kinds",
        protects="what the one process calls by a number is what the other one calls by it",
        file=f"{RESULTS}/kinds.py",
        old="range(share * _MOST, ",
        new="range(0, ",
        tests=(f"{OF_TALLY}::test_more_kinds_than_numbers_are_untold",),
    ),
    Mutant(
        name="sharing: numbers of shapes",
        protects="lines are written as the process has learned that has read them",
        file=f"{RESULTS}/shapes.py",
        old="1 + share * _NUMBERS",
        new="1 + share",
        tests=(SAME,),
    ),
    Mutant(
        name="sharing: lines without a shape",
        protects="lines are read from the file of the process that has kept them",
        file=f"{RESULTS}/writing.py",
        old="start = self._share * _SHARE_BYTES + file.tell()",
        new="start = file.tell()",
        tests=(SAME,),
    ),
    Mutant(
        name="sharing: errors without an ID",
        protects="each of them is counted once",
        file=f"{RESULTS}/answer_rows.py",
        old="deepcopy(self.strays)",
        new="self.strays",
        tests=(SAME,),
    ),
    Mutant(
        name="sharing: first damaged line",
        protects="the damaged line that is named is the first one",
        file=f"{WORKERS}/together.py",
        old="raise self._failed[min(self._failed)]",
        new="raise self._failed[max(self._failed)]",
        tests=(f"{OF_TOGETHER}::test_the_first_of_shared_items_that_failed_is_told",),
    ),
    Mutant(
        name="sharing: waiting",
        protects="who has lost the lease does not wait for another process",
        file=f"{WORKERS}/together.py",
        old="                beat()\n        except",
        new="                pass\n        except",
        tests=(f"{OF_TOGETHER}::test_who_waits_for_another_process_can_stop",),
    ),
    Mutant(
        name="sharing: what is no answer",
        protects="a process that dies is an error",
        file=f"{RESULTS}/child.py",
        old="            raise ended from error\n",
        new="            answer = ended if error else None\n",
        tests=(f"{OF_HELPER}::test_a_process_that_died_while_it_read_is_an_error",),
    ),
    Mutant(
        name="sharing: what went wrong",
        protects="what the other process could not do is not taken for done",
        file=f"{RESULTS}/child.py",
        old="        if isinstance(answer, Failed):\n",
        new="        if answer is Failed:\n",
        tests=(f"{OF_HELPER}::test_what_cannot_be_done_is_told",),
    ),
    Mutant(
        name="sharing: a worker that is gone",
        protects="no process goes on for a worker that was killed",
        file=f"{RESULTS}/child.py",
        old="    if os.getppid() != int(sys.argv[1]):\n",
        new="    if os.getppid() == int(sys.argv[1]):\n",
        tests=(f"{OF_HELPER}::test_work_for_a_worker_that_is_gone_ends",),
    ),
    Mutant(
        name="sharing: small answers",
        protects="most collections start no process",
        file=f"{RESULTS}/helper.py",
        old=" and answer_bytes >= _LARGE_BYTES",
        new="",
        tests=(f"{OF_HELPER}::test_a_small_answer_starts_no_process",),
    ),
)

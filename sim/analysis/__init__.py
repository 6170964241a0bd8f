"""What the tables of a run say, as figures and as text.

*What came of a run*: ``evaluations`` says by what it is judged, what a guess is worth, and which
targets it reached; ``learnt`` whether it has learnt, ``curves`` what it measured over time.
``rounds`` and ``experts`` have figures of their own, and ``summary`` has all. ``run`` has all of
that for who tells of a run, worked out once. ``checks`` says what a user should know of it, and
``run_text`` puts it into words.

*Where the time went*: ``spans`` reads what went on when. ``round_paths`` finds the
critical path of rounds, upload by upload; ``critical_path`` finds that of cycles, for runs without
rounds, and adds up both.

*Who is best*: ``groups`` makes groups of runs, ``labels`` calls them. ``cases`` makes of them, or
of a sweep's rows, what is compared, ``figures`` says by what. ``ranking`` has the test and its
verdicts, ``comparison`` what was found, and ``comparison_text`` shows it.

``screen`` has columns and dots of a terminal, ``notebook`` frames of pages, ``methods`` what a
method says of itself.
"""

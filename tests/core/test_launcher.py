"""What the environment tells of a launcher, and what a program that is no rank is given of it."""

from __future__ import annotations

import pytest

from cnntrain.core import launcher


@pytest.mark.parametrize(
    ("environment", "size", "rank"),
    [
        ({}, 1, 0),
        ({"OMPI_COMM_WORLD_SIZE": "4", "OMPI_COMM_WORLD_RANK": "3", "PMIX_RANK": "3"}, 4, 3),
        ({"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"}, 1, 0),
        ({"PMI_SIZE": "2", "PMI_RANK": "1"}, 2, 1),
        ({"PMIX_RANK": "5", "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "6"}, 6, 5),
        ({"PMIX_RANK": "0"}, 1, 0),
        ({"SLURM_NTASKS": "8", "SLURM_PROCID": "2"}, 1, 0),  # srun --mpi=none: as many as there are, each by itself
        ({"OMPI_COMM_WORLD_SIZE": "many", "OMPI_COMM_WORLD_RANK": "x"}, 1, 0),
    ],
)
def test_how_many_there_are_and_which_of_them_this_is(environment, size, rank):
    assert (launcher.size(environment), launcher.rank(environment)) == (size, rank)


def test_a_program_that_is_no_rank_is_told_nothing():
    given = {"OMPI_COMM_WORLD_SIZE": "2", "PMIX_RANK": "1", "PATH": "/bin", "PMI_RANK": "1", "OMP_NUM_THREADS": "1"}
    assert launcher.without(given) == {"PATH": "/bin", "OMP_NUM_THREADS": "1"}
    assert launcher.size(launcher.without(given)) == 1

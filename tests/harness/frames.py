"""Libraries of data frames, as tests need them. Import the fixture `frame_libraries`."""

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def frame_libraries(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Start the threads and files that they keep as long as the process lives."""
    import polars

    path: Path = tmp_path_factory.mktemp("warm") / "up.parquet"
    polars.DataFrame({"n": [1]}).lazy().sink_parquet(path)
    polars.scan_parquet(path).collect()
    polars.read_parquet(path, use_pyarrow=True).to_pandas()

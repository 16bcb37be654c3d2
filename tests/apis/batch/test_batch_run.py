"""A run over many images: order, bounds and errors of its threads."""
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from mmpartref.apis.batch import batch_run
from mmpartref.apis.batch.batch_run import (
    BatchResult,
    RunOptions,
    RunTimes,
    default_threads,
    predict_files,
    waiting_images,
)
from mmpartref.apis.batch.image_outputs import ImageOutput
from mmpartref.apis.image_files import ImageFile
from mmpartref.errors import FileWriteError, InputError
from mmpartref.images.read_image import DecodedImage
from mmpartref.ordered_calls import OrderedCalls, thread_pool

SECONDS = 20
IMAGES = [ImageFile(f'{number}.jpg', Path(str(number)), f'{number}.jpg', number) for number in range(12)]


class Writer:
    """In place of an ``ImageWriter``: one forward pass adds nothing, and each image is one line.

    Args:
        read, write: called with the image's name in the threads.
    """

    def __init__(self, read: Callable = lambda name: None, write: Callable = lambda name: None) -> None:
        self.inferencer = SimpleNamespace(reader=self.reader)
        self.taken: list[str] = []
        self.batches: list[list[str]] = []
        self._read, self._write = read, write

    def reader(self, source: str) -> DecodedImage:
        self._read(source)
        return DecodedImage(np.zeros((2, 2, 3), np.uint8), source)

    def predict(self, images: list[DecodedImage]) -> tuple[list, list]:
        self.batches.append([each.name for each in images])
        return [each.name for each in images], [None] * len(images)

    def waiting_bytes(self, image: DecodedImage, sample: str) -> int:
        return 12

    def write(self, image: tuple[ImageFile, DecodedImage], sample: str, reworded: None) -> ImageOutput:
        assert image[0].source == image[1].name == sample
        self._write(sample)
        return ImageOutput(image[0].number, [f'line {sample}'], {'name': sample})


class MemoryJournal:
    """In place of a ``Journal``."""

    def __init__(self, done: tuple[int, ...] = ()) -> None:
        self.done = done
        self.taken: list[str] = []

    def is_done(self, number: int) -> bool:
        return number in self.done

    def add(self, number: int, records: dict[str, str]) -> None:
        assert records['name'] == f'{number}.jpg'
        self.taken.append(records['name'])


def run(writer: Writer, options: RunOptions, images: Sequence[ImageFile] = IMAGES) -> BatchResult:
    journal = MemoryJournal()
    writer.taken = journal.taken
    return predict_files(writer, images, options, journal)


def names(*numbers: int) -> list[str]:
    return [f'{number}.jpg' for number in numbers]


@pytest.mark.parametrize('batch_size', [1, 5])
def test_outputs_are_in_the_order_of_the_images(capsys, batch_size):
    # The later an image, the sooner it is read and written.
    wait = {each.source: 0.002 * (len(IMAGES) - number) for number, each in enumerate(IMAGES)}
    writer = Writer(lambda name: time.sleep(wait[name]), lambda name: time.sleep(wait[name]))
    result = run(writer, RunOptions(batch_size, 4))
    assert (result.done, result.failures) == (12, [])
    assert writer.taken == names(*range(12))
    assert writer.batches == [names(*range(12))[start:start + batch_size] for start in range(0, 12, batch_size)]
    shown = capsys.readouterr()
    assert shown.out == ''.join(f'line {name}\n' for name in names(*range(12)))
    assert '12/12' in shown.err


@pytest.mark.parametrize(('threads', 'batch_size'), [(1, 1), (3, 1), (3, 2), (2, 4)])
def test_a_slow_disk_stops_the_reading(threads, batch_size):
    read, release = [], threading.Event()
    writer = Writer(read.append, lambda name: release.wait(SECONDS))
    options = RunOptions(batch_size, threads)
    images = [replace(IMAGES[0], source=f'{number}.jpg', number=number) for number in range(36)]
    with ThreadPoolExecutor(1) as other:
        ended = other.submit(run, writer, options, images)
        # Where one thread does both, the writer has it.
        most = 2 * max(threads, batch_size) + batch_size
        settle(read)
        assert 0 < len(read) <= most
        release.set()
        assert ended.result(SECONDS).done == len(images)
    assert len(read) == len(images)


def settle(grows: list) -> None:
    """Return when a list has not grown for a while."""
    length, still = -1, 0
    while still < 10:
        still = still + 1 if len(grows) == length else 0
        length = len(grows)
        time.sleep(0.01)


def test_images_are_read_and_written_at_the_same_time():
    # Two writers and a reader meet, each in its own thread, or the barrier breaks.
    together = threading.Barrier(3)
    writer = Writer(lambda name: name == '5.jpg' and together.wait(SECONDS),
                    lambda name: name in names(0, 1) and together.wait(SECONDS))
    assert run(writer, RunOptions(1, 4)).done == 12


def failing(*numbers: int, error: type[Exception]) -> Callable[[str], None]:
    def call(name: str) -> None:
        if name in names(*numbers):
            raise error(f'{name} fails')
    return call


def test_images_that_fail_are_in_order_and_counted(capsys):
    writer = Writer(failing(0, 3, 11, error=InputError))
    result = run(writer, RunOptions(2, 3))
    assert result.failures == [(name, f'{name} fails') for name in names(0, 3, 11)]
    assert writer.taken == names(1, 2, 4, 5, 6, 7, 8, 9, 10)
    assert writer.batches[:2] == [names(1, 2), names(4, 5)]
    assert '12/12' in capsys.readouterr().err


def test_a_run_stops_at_the_first_image_that_fails():
    writer = Writer(failing(3, 5, error=OSError))
    result = run(writer, RunOptions(2, 3, 'raise'))
    assert result.failures == [('3.jpg', '3.jpg fails')]
    assert writer.taken == names(0, 1, 2)
    assert result.done == 3


def test_a_full_disk_ends_the_run_with_the_first_error():
    writer = Writer(write=failing(4, 5, error=FileWriteError))
    with pytest.raises(FileWriteError, match=r'^4\.jpg fails$'):
        run(writer, RunOptions(1, 2))
    assert writer.taken == names(0, 1, 2, 3)
    assert not [each for each in threading.enumerate() if each.name.startswith('images')]


def test_images_that_are_done_are_neither_read_nor_counted_twice(capsys):
    read = []
    result = predict_files(Writer(read.append), IMAGES, RunOptions(1, 1), journal := MemoryJournal((0, 1, 3)))
    assert result.done == 12
    assert read == journal.taken == names(2, *range(4, 12))
    assert '9/9' in capsys.readouterr().err


def test_what_the_model_rejects_ends_the_run_after_the_images_before(monkeypatch):
    writer = Writer(write=lambda name: time.sleep(0.02))
    predict = writer.predict

    def reject(images: list[DecodedImage]) -> tuple[list, list]:
        if images[0].name == '5.jpg':
            raise InputError('cannot be scaled')
        return predict(images)

    monkeypatch.setattr(writer, 'predict', reject)
    with pytest.raises(InputError, match='cannot be scaled'):
        run(writer, RunOptions(1, 3))
    assert writer.taken == names(0, 1, 2, 3, 4)


def test_few_large_images_wait(monkeypatch):
    monkeypatch.setattr(batch_run, 'MAX_WAITING', 1000)
    assert [waiting_images(8, size) for size in (10, 125, 126, 500, 1001)] == [8, 8, 7, 2, 1]
    # 12 bytes each in `Writer`: one waits instead of the four.
    monkeypatch.setattr(batch_run, 'MAX_WAITING', 13)
    read, release = [], threading.Event()
    with ThreadPoolExecutor(1) as other:
        ended = other.submit(run, Writer(read.append, lambda name: release.wait(SECONDS)), RunOptions(1, 4))
        settle(read)
        # Four are read before the size of one is known; then one is written and one waits for the model.
        assert len(read) <= 5
        release.set()
        assert ended.result(SECONDS).done == 12


def test_a_call_that_fails_raises_where_its_result_is_taken():
    with thread_pool(2) as pool:
        calls: OrderedCalls[float] = OrderedCalls(pool, 1)
        for number in (1, 0, 4):
            calls.submit(lambda each: 1 / each, number)
        results = calls.results(0)
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)
        assert list(calls.results(0)) == [0.25]
        assert list(calls.map(lambda each: 2 * each, range(5))) == [0, 2, 4, 6, 8]


def test_the_default_is_a_thread_per_core_and_at_most_eight(monkeypatch):
    for cores, threads in ((1, 1), (3, 3), (64, 8)):
        monkeypatch.setattr('os.sched_getaffinity', lambda process, cores=cores: set(range(cores)))
        assert default_threads() == threads


def test_times_are_those_of_the_stages(monkeypatch):
    writer = Writer(lambda name: time.sleep(0.01), lambda name: time.sleep(0.02))
    predict = writer.predict
    monkeypatch.setattr(writer, 'predict', lambda images: time.sleep(0.005) or predict(images))
    times = run(writer, RunOptions(2, 3)).times
    assert (times.images, times.threads) == (12, 3)
    assert 0.03 <= times.model <= times.total
    assert times.reading >= 0.12
    assert times.writing >= 0.24
    assert times.reading + times.writing <= 3 * times.total


def test_a_report_has_speed_and_shares():
    times = RunTimes(images=1000, threads=2, total=50.0, model=40.0, reading=5.0, writing=75.0)
    assert times.describe(3) == (
        '1,000 images in 50.0 s: 20.0 images and 60.0 expressions per second; the model ran 80% of the time, the 2 '
        'threads read 5% and wrote 75% of it')
    assert RunTimes().describe(3).startswith('0 images in 0.0 s: 0.0 images')

"""Inference on many images: the model in the main thread, reading and writing in others."""
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from mmpartref.apis.batch.image_outputs import ImageOutput, ImageWriter
from mmpartref.apis.batch.journal import Journal
from mmpartref.apis.image_files import ImageFile
from mmpartref.images.read_image import DecodedImage, ImageReader
from mmpartref.ordered_calls import OrderedCalls, thread_pool
from mmpartref.progress import track

# Threads of a run where no number is given.
MAX_THREADS = 8
# Bytes of images, masks and heat maps that wait for the model, and that wait to be written.
MAX_WAITING = 2**30

# An image as the reading thread leaves it: the pixels, or why there are none.
Read = tuple[ImageFile, DecodedImage | Exception]
Batch = list[tuple[ImageFile, DecodedImage]]


@dataclass(frozen=True)
class RunOptions:
    """How a run goes through the images.

    Attributes:
        batch_size: images per forward pass.
        threads: that read and write.
        on_error: skip an image that cannot be read, or stop at it.
    """
    batch_size: int = 1
    threads: int = 1
    on_error: Literal['raise', 'skip'] = 'skip'

    @property
    def ahead(self) -> int:
        """Number of images that are read ahead of the model, and of those whose outputs it does not wait for."""
        return max(self.threads, self.batch_size)


@dataclass
class RunTimes:
    """How a run spent its time, in seconds.

    Attributes:
        images: that it predicted.
        threads: that read and write.
        total: from the first image to the last output.
        model: in the model, by the main thread.
        reading, writing: in all threads together.
    """
    images: int = 0
    threads: int = 1
    total: float = 0.0
    model: float = 0.0
    reading: float = 0.0
    writing: float = 0.0

    def describe(self, expressions: int) -> str:
        """Return the speed for a number of expressions per image, and the shares of time, as text."""
        total = max(self.total, 1e-9)
        speed = self.images / total
        reading, writing = (each / total / self.threads for each in (self.reading, self.writing))
        return (f'{self.images:,} images in {total:,.1f} s: {speed:,.1f} images and {speed * expressions:,.1f} '
                f'expressions per second; the model ran {self.model / total:.0%} of the time, the {self.threads} '
                f'threads read {reading:.0%} and wrote {writing:.0%} of it')


@dataclass
class BatchResult:
    """How many images were predicted, and which failed.

    Attributes:
        done: number of images predicted, by this run and those that it resumes.
        failures: (image, reason) of the others, in order.
        times: of this run.
    """
    done: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    times: RunTimes = field(default_factory=RunTimes)


def default_threads() -> int:
    """Return the number of cores that this process may use, at most ``MAX_THREADS``."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count() or 1
    return min(MAX_THREADS, cores)


def predict_files(writer: ImageWriter, images: Sequence[ImageFile], options: RunOptions,
                  journal: Journal) -> BatchResult:
    """Predict the expressions in each image and write the outputs; print a line per mask, and the progress to stderr.

    Lines, records and failures are in the order of the images. At most ``2 * options.ahead + options.batch_size``
    images are in memory, fewer large ones (``MAX_WAITING``).

    Args:
        writer: of the model's outputs.
        images: from ``find_images``.
        options: batches, threads and errors.
        journal: receives the records of each image; images that it has are not predicted again.
    """
    left = [each for each in images if not journal.is_done(each.number)]
    result = BatchResult(len(images) - len(left), times=RunTimes(threads=options.threads))
    start = time.perf_counter()
    with thread_pool(options.threads) as pool:
        for output in track(predicted(pool, writer, left, options, result), 'images', total=len(left)):
            if output is None:
                continue
            for line in output.lines:
                print(line)
            journal.add(output.number, output.records)
            result.done += 1
            result.times.images += 1
    result.times.total = time.perf_counter() - start
    return result


def predicted(pool: ThreadPoolExecutor, writer: ImageWriter, images: Iterable[ImageFile], options: RunOptions,
              result: BatchResult) -> Iterator[ImageOutput | None]:
    """Yield the output for each image in order, and None for one that is appended to ``result.failures``."""
    reads: OrderedCalls[Read] = OrderedCalls(pool, options.ahead)
    writes: OrderedCalls[ImageOutput] = OrderedCalls(pool, options.ahead)
    failed = 0
    for batch in readable_batches(reads.map(partial(read, writer.inferencer.reader), images), options, result):
        yield from [None] * (len(result.failures) - failed)
        failed = len(result.failures)
        start = time.perf_counter()
        try:
            samples, reworded = writer.predict([image for _, image in batch])
        except Exception:
            yield from writes.results(0)  # of the images before
            raise
        result.times.model += time.perf_counter() - start
        reads.limit = waiting_images(options.ahead, max(image.pixels.nbytes for _, image in batch))
        writes.limit = waiting_images(options.ahead, max(
            writer.waiting_bytes(image, sample) for (_, image), sample in zip(batch, samples, strict=True)))
        for call in zip(batch, samples, reworded, strict=True):
            writes.submit(writer.write, *call)
        yield from writes.results(writes.limit)
    yield from writes.results(0)
    result.times.reading, result.times.writing = reads.seconds, writes.seconds
    yield from [None] * (len(result.failures) - failed)


def read(reader: ImageReader, file: ImageFile) -> Read:
    """Return an image, or the error of one that cannot be read."""
    try:
        return file, reader(file.source)
    except (ValueError, OSError) as error:
        return file, error


def readable_batches(images: Iterable[Read], options: RunOptions, result: BatchResult) -> Iterator[Batch]:
    """Yield batches of the images that were read, and append the others to ``result.failures``."""
    batch: Batch = []
    for file, image in images:
        if isinstance(image, Exception):
            result.failures.append((file.source, str(image)))
            if options.on_error == 'raise':
                break
        else:
            batch.append((file, image))
        if len(batch) == options.batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def waiting_images(most: int, size: int) -> int:
    """Return how many images of ``size`` bytes may wait: at most ``most``, at least one."""
    return max(1, min(most, MAX_WAITING // size))

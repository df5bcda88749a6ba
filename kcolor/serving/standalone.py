"""Runs an export where there is no kcolor and no Keras, and takes its time.

    python standalone.py EXPORT QUESTIONS.npz ANSWERS.npz

A program of its own: it is run by its path, in a process that cannot import
either, to show that the export needs neither.
"""

import os
import sys
import time

import numpy as np

REPEATS = 5


def main(export: str, questions: str, answers: str) -> None:
    """Answers questions and writes the answers.

    Args:
        export: A SavedModel or a TFLite file.
        questions: `L`, (N, H, W, 1); `photo`, the bytes of an encoded photo, or
            none; `sizes`, those of the photos to take times at.
        answers: `ab`, (N, H, W, 2); `photo`, the bytes of the coloured photo;
            `milliseconds` of each size.
    """
    given = np.load(questions)
    asked = saved_model if os.path.isdir(export) else tflite
    ask, ask_photo = asked(export)
    found = {"ab": np.concatenate([ask(photo[None]) for photo in given["L"]])}
    if ask_photo is not None:
        photo = ask_photo(given["photo"].tobytes())
        found["photo"] = np.frombuffer(photo, np.uint8)
    times = [milliseconds(ask, size) for size in given["sizes"]]
    np.savez(answers, milliseconds=times, **found)


def milliseconds(ask, size: int) -> float:
    """Returns how long one photo takes; the median of some times."""
    lightness = np.full((1, size, size, 1), 50, np.float32)
    ask(lightness)
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        ask(lightness)
        times.append(1000 * (time.perf_counter() - began))
    return float(np.median(times))


def saved_model(folder: str):
    """Returns what the signatures of a SavedModel answer."""
    import tensorflow as tf

    loaded = tf.saved_model.load(folder)

    def ask(lightness):
        answer = loaded.signatures["serving_default"](L=tf.constant(lightness))
        return answer["ab"].numpy()

    def ask_photo(encoded):
        answer = loaded.signatures["colorize"](
            image_bytes=tf.constant([encoded])
        )
        return answer["photo_bytes"].numpy()[0]

    return ask, ask_photo


def tflite(file: str):
    """Returns what a TFLite model answers."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(file, num_threads=os.cpu_count())
    (source,) = interpreter.get_input_details()
    (answer,) = interpreter.get_output_details()

    def ask(lightness):
        interpreter.resize_tensor_input(source["index"], lightness.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(source["index"], lightness)
        interpreter.invoke()
        return interpreter.get_tensor(answer["index"])

    return ask, None


if __name__ == "__main__":
    sys.modules["kcolor"] = sys.modules["keras"] = None
    main(*sys.argv[1:])

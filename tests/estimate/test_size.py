import json
import struct

from rlx.estimate.size import ModelSize, parameters_in, size_of, training_bytes


def test_parameters_are_counted_from_the_headers_of_safetensors_files(tmp_path):
    for name, shapes in {"a": [[3, 4], [5]], "b": [[2, 2]]}.items():  # 12 + 5 + 4
        header = {str(i): {"dtype": "F32", "shape": shape, "data_offsets": [0, 0]} for i, shape in enumerate(shapes)}
        text = json.dumps(header | {"__metadata__": {"format": "pt"}}).encode()
        (tmp_path / f"{name}.safetensors").write_bytes(struct.pack("<Q", len(text)) + text)
    assert parameters_in(tmp_path) == 21
    size = size_of({"path": str(tmp_path), "dtype": "bfloat16"})
    assert size is not None and size.weights == 42


def test_a_model_that_is_not_at_hand_is_guessed_by_its_name_and_said_to_be():
    for name, parameters in (("EleutherAI/pythia-1.4b", 1.4e9), ("org/Llama-2-7b-hf", 7e9), ("org/tiny-160m", 1.6e8)):
        size = size_of({"path": name, "revision": None, "dtype": "bfloat16"})
        assert size is not None and size.parameters == parameters and "guessed" in size.source
    assert size_of({"path": "org/nameless", "revision": None}) is None


def test_full_fine_tuning_holds_four_times_the_weights_and_a_separate_critic_twice_that():
    size = ModelSize(100, 4, "counted")  # 400 bytes of weights
    shared = training_bytes(size, 1.0, "shared", members=3)
    assert shared == {
        "policy and critic": 400,
        "gradients": 400,
        "AdamW": 800,
        "reference and start policy": 800,
        "reward models": 1200,
    }
    separate = training_bytes(size, 1.0, "separate", members=3)
    assert separate["policy and critic"] == 800 and separate["AdamW"] == 1600

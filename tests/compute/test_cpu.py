from rlx.compute.cpu import CPU


def test_transformers_is_told_to_stay_on_the_cpu_in_full_precision():
    told = CPU(num_threads=1, micro_batch_size=None, rows=256).training_arguments()
    assert told["use_cpu"] is True and told["bf16"] is False

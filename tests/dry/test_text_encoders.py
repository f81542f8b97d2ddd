"""Text encoders of transformers work on the counting device, with values and without."""

import pytest
import torch

from pytest_sdspeed.dry.run import count


def clip():
    from transformers import CLIPTextConfig, CLIPTextModel

    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=64, hidden_size=8, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2, max_position_embeddings=16
        )
    )


def t5():
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(T5Config(vocab_size=64, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2))


def umt5():
    from transformers import UMT5Config, UMT5EncoderModel

    return UMT5EncoderModel(UMT5Config(vocab_size=64, d_model=8, d_kv=4, d_ff=16, num_layers=1, num_heads=2))


SIZE = {
    "vocab_size": 64,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "pad_token_id": 0,
}


def llama():
    from transformers import LlamaConfig, LlamaModel

    return LlamaModel(LlamaConfig(**SIZE))


def qwen3():
    from transformers import Qwen3Config, Qwen3Model

    return Qwen3Model(Qwen3Config(**SIZE, head_dim=4))


def gemma2():
    from transformers import Gemma2Config, Gemma2Model

    return Gemma2Model(Gemma2Config(**SIZE, head_dim=4, sliding_window=4))


def gemma3():
    from transformers import Gemma3TextConfig, Gemma3TextModel

    return Gemma3TextModel(Gemma3TextConfig(**SIZE, head_dim=4, sliding_window=4))


@pytest.mark.parametrize("make", [clip, t5, umt5, llama, qwen3, gemma2, gemma3], ids=lambda make: make.__name__)
def test_a_text_encoder_gives_what_it_gives_on_the_cpu_and_is_written_down_alike_without_values(make):
    torch.manual_seed(0)
    model = make().eval()
    tokens, mask = torch.tensor([[3, 4, 5, 1, 0, 0]]), torch.tensor([[1, 1, 1, 1, 0, 0]])
    found = []
    with torch.no_grad():
        expected = model(input_ids=tokens, attention_mask=mask).last_hidden_state
        for values_up_to in (None, 40):
            with count(values_up_to=values_up_to) as ledger:
                there = make().eval()
                there.load_state_dict(model.state_dict())
                there.to("cuda")
                ledger.restart()
                given = {"input_ids": tokens.to("cuda"), "attention_mask": mask.to("cuda")}
                hidden = there(**given, output_hidden_states=True).last_hidden_state
                assert hidden.shape == expected.shape
                if values_up_to is None:
                    assert torch.allclose(hidden.cpu(), expected, atol=1e-5)
                found.append([event for event in ledger.events if hasattr(event, "name")])
    assert found[0] == found[1]

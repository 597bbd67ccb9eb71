"""The door of transformers: which class, how it is called, what can be wrong; and no network."""

from __future__ import annotations

import json
import socket
import time

import pytest
import torch

from botec.errors import BotecError
from botec.inputs import parse_input
from botec.read import transformers_config
from botec.read.doors import open_source


@pytest.fixture(autouse=True)
def asked_network(monkeypatch):
    """Whatever asks for an address fails and is written down; nothing may, but a hub id."""
    asked: list[str] = []

    def refuse(host, *given, **named):
        asked.append(str(host))
        raise socket.gaierror("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    yield asked
    assert not [host for host in asked if host != "allowed"], "the network was asked"


# What a user would take for training, and how it is called: tokens and labels; tokens of an encoder
# with labels for the decoder; pictures with one label each; sound.
CALLS = {
    "bert": ("BertForMaskedLM", "input_ids=B,S:int64 labels=B,S:int64"),
    "gpt2": ("GPT2LMHeadModel", "input_ids=B,S:int64 labels=B,S:int64"),
    "llama": ("LlamaForCausalLM", "input_ids=B,S:int64 labels=B,S:int64"),
    "mistral": ("MistralForCausalLM", "input_ids=B,S:int64 labels=B,S:int64"),
    "mixtral": ("MixtralForCausalLM", "input_ids=B,S:int64 labels=B,S:int64"),
    "qwen3": ("Qwen3ForCausalLM", "input_ids=B,S:int64 labels=B,S:int64"),
    "qwen3_moe": ("Qwen3MoeForCausalLM", "input_ids=B,S:int64 labels=B,S:int64"),
    "deepseek_v3": ("DeepseekV3ForCausalLM", "input_ids=B,S:int64 labels=B,S:int64"),
    "mamba": ("MambaForCausalLM", "input_ids=B,S:int64 labels=B,S:int64"),
    "gemma3_text": ("Gemma3ForCausalLM", "input_ids=B,S:int64 labels=B,S:int64"),
    "gemma3": ("Gemma3ForConditionalGeneration", "input_ids=B,S:int64 labels=B,S:int64"),
    "t5": ("T5ForConditionalGeneration", "input_ids=B,S:int64 labels=B,T:int64"),
    "bart": ("BartForConditionalGeneration", "input_ids=B,S:int64 labels=B,T:int64"),
    "whisper": (
        "WhisperForConditionalGeneration",
        "input_features=B,80,3000:float32 labels=B,T:int64",
    ),
    "vit": ("ViTForImageClassification", "pixel_values=B,3,224,224:float32 labels=B:int64"),
    "deit": ("DeiTForImageClassification", "pixel_values=B,3,224,224:float32 labels=B:int64"),
    "segformer": (
        "SegformerForImageClassification",
        "pixel_values=B,3,224,224:float32 labels=B:int64",
    ),
    "segformer?architectures=SegformerForSemanticSegmentation": (
        "SegformerForSemanticSegmentation",
        "pixel_values=B,3,224,224:float32 labels=B,224,224:int64",
    ),
    "clip": ("CLIPModel", "input_ids=B,S:int64 pixel_values=B,3,224,224:float32"),
    # a picture of any form, cut up before the call
    "siglip2": (
        "Siglip2Model",
        "input_ids=B,S:int64 pixel_values=B,256,768:float32"
        " pixel_attention_mask=B,256:int64 spatial_shapes=B,2:int64",
    ),
    "wav2vec2": ("Wav2Vec2ForCTC", "input_values=B,N:float32"),
    "roberta": ("RobertaForMaskedLM", "input_ids=B,S:int64 labels=B,S:int64"),
    "opt": ("OPTForCausalLM", "input_ids=B,S:int64 labels=B,S:int64"),
    "swin": ("SwinForImageClassification", "pixel_values=B,3,224,224:float32 labels=B:int64"),
    # boxes in parts of the page; labels for the decoder, though the task is a picture's
    "udop": (
        "UdopForConditionalGeneration",
        "input_ids=B,S:int64 bbox=B,S,4:float32 labels=B,T:int64",
    ),
    "bros": (
        "BrosForTokenClassification",
        "input_ids=B,S:int64 bbox=B,S,4:int64 labels=B,S:int64",
    ),
    # its labels go over the regions of a picture as well
    "visual_bert": ("VisualBertForPreTraining", "input_ids=B,S:int64"),
    # 384 wide patches of a quarter of the picture
    "depth_pro": ("DepthProForDepthEstimation", "pixel_values=B,3,1536,1536:float32"),
    "perceiver": ("PerceiverForMaskedLM", "inputs=B,S:int64 labels=B,S:int64"),
    "fsmt": (
        "FSMTForConditionalGeneration",
        "input_ids=B,S:int64 decoder_input_ids=B,T:int64 labels=B,T:int64",
    ),
    "speech-encoder-decoder": (
        "SpeechEncoderDecoderModel",
        "input_values=B,N:float32 labels=B,T:int64",
    ),
    "bert?architectures=BertForSequenceClassification,num_labels=5": (
        "BertForSequenceClassification",
        "input_ids=B,S:int64 labels=B:int64",
    ),
    "bert?architectures=BertForQuestionAnswering": (
        "BertForQuestionAnswering",
        "input_ids=B,S:int64 start_positions=B:int64 end_positions=B:int64",
    ),
}


@pytest.mark.parametrize("text", CALLS)
def test_the_class_and_its_call_in_training(text):
    name, expected = CALLS[text]
    source = open_source(f"transformers:{text}", True)
    assert " ".join(map(str, source.inputs)) == expected
    with torch.device("meta"):
        module = source.build()
    assert type(module).__name__ == name
    assert source.notes[0] == f"{name}, which ?architectures=… changes"
    assert all(one.dtype == torch.float32 for one in module.parameters())
    assert all(one.is_meta for one in module.parameters() if one.ndim > 1)


SIZES = {
    "bert": ({"B": 1, "S": 512}, {"S": 512}),
    "gpt2": ({"B": 1, "S": 1024}, {"S": 1024}),
    "roberta": ({"B": 1, "S": 510}, {"S": 510}),
    "llama": ({"B": 1, "S": 2048}, {}),
    "prophetnet": ({"B": 1, "S": 511, "T": 510}, {"S": 511, "T": 510}),
    "mixtral": ({"B": 1, "S": 2048}, {}),
    "t5": ({"B": 1, "S": 128, "T": 128}, {}),
    "whisper": ({"B": 1, "T": 448}, {"T": 448}),
    "clip": ({"B": 1, "S": 77}, {"S": 77}),
    "vit": ({"B": 1}, {}),
    "wav2vec2": ({"B": 1, "N": 16000}, {}),
}


@pytest.mark.parametrize("text", SIZES)
def test_default_and_largest_sizes(text):
    source = open_source(f"transformers:{text}", True)
    assert (dict(source.defaults), dict(source.most)) == SIZES[text]


def test_inference_has_no_labels_and_a_decoder_its_tokens():
    for text in CALLS:
        source = open_source(f"transformers:{text}", False)
        assert not [one for one in source.inputs if one.only or one.name == "labels"]
    names = [one.name for one in open_source("transformers:t5", False).inputs]
    assert names == ["input_ids", "decoder_input_ids"]


# Small configurations, really run: the call a door describes is one the library accepts, its loss
# is there, and its gradient reaches the weights.
WIDTH = "hidden_size=16,num_hidden_layers=1,num_attention_heads=2"
PICTURE = f"{WIDTH},intermediate_size=16,image_size=32,patch_size=16"
CAUSAL = f"{WIDTH},vocab_size=50,intermediate_size=16,num_key_value_heads=1,head_dim=8"
SMALL = {
    "bert": f"{WIDTH},vocab_size=50,intermediate_size=16,max_position_embeddings=12",
    "roberta": f"{WIDTH},vocab_size=50,intermediate_size=16,max_position_embeddings=12",
    "gpt2": f"{WIDTH},vocab_size=50,max_position_embeddings=12",
    "opt": f"{WIDTH},vocab_size=50,ffn_dim=16,max_position_embeddings=12,word_embed_proj_dim=16",
    "llama": CAUSAL,
    "mistral": CAUSAL,
    "mixtral": f"{CAUSAL},num_local_experts=4",
    "qwen3": CAUSAL,
    "qwen3_moe": f"{WIDTH},vocab_size=50,intermediate_size=16,num_key_value_heads=1,"
    "moe_intermediate_size=16,num_experts=4,num_experts_per_tok=2",
    "gemma3_text": CAUSAL,
    "mamba": "hidden_size=16,num_hidden_layers=1,vocab_size=50,state_size=4,intermediate_size=32",
    "deepseek_v3": f"{WIDTH},vocab_size=50,intermediate_size=16,num_key_value_heads=2,n_group=1,"
    "topk_group=1,n_routed_experts=4,num_experts_per_tok=2,moe_intermediate_size=16,"
    "first_k_dense_replace=0,q_lora_rank=8,kv_lora_rank=8,qk_rope_head_dim=8,qk_nope_head_dim=8,"
    "v_head_dim=8",
    "t5": "d_model=16,d_kv=8,d_ff=16,num_layers=1,num_heads=2,vocab_size=50",
    "bart": "d_model=16,encoder_layers=1,decoder_layers=1,encoder_attention_heads=2,"
    "decoder_attention_heads=2,encoder_ffn_dim=16,decoder_ffn_dim=16,vocab_size=50,"
    "max_position_embeddings=12,pad_token_id=1,decoder_start_token_id=2",
    "whisper": "d_model=16,encoder_layers=1,decoder_layers=1,encoder_attention_heads=2,"
    "decoder_attention_heads=2,encoder_ffn_dim=16,decoder_ffn_dim=16,vocab_size=50,"
    "max_source_positions=20,max_target_positions=12,num_mel_bins=8,pad_token_id=1,"
    "decoder_start_token_id=2",
    "vit": PICTURE,
    "deit": PICTURE,
    "segformer": "hidden_sizes=[8,8,8,8],depths=[1,1,1,1],decoder_hidden_size=8",
    "segformer?architectures=SegformerForSemanticSegmentation": "hidden_sizes=[8,8,8,8],"
    "depths=[1,1,1,1],decoder_hidden_size=8",
    "clip": "projection_dim=16,"
    + ",".join(
        f"{part}.{field}=16"
        for part in ("text_config", "vision_config")
        for field in ("hidden_size", "intermediate_size", "projection_dim")
    )
    + ",text_config.num_hidden_layers=1,vision_config.num_hidden_layers=1,"
    "text_config.num_attention_heads=2,vision_config.num_attention_heads=2",
    "perceiver": "num_latents=4,d_latents=16,d_model=16,num_blocks=1,num_self_attends_per_block=1,"
    "num_self_attention_heads=2,num_cross_attention_heads=2,vocab_size=50,"
    "max_position_embeddings=8,qk_channels=16,v_channels=16",
    "fsmt": "d_model=16,encoder_layers=1,decoder_layers=1,encoder_attention_heads=2,"
    "decoder_attention_heads=2,encoder_ffn_dim=16,decoder_ffn_dim=16,src_vocab_size=50,"
    "tgt_vocab_size=50,max_position_embeddings=12",
    "speech-encoder-decoder": "encoder.hidden_size=16,encoder.num_hidden_layers=1,"
    "encoder.num_attention_heads=2,encoder.intermediate_size=16,encoder.conv_dim=[8,8],"
    "encoder.conv_stride=[5,4],encoder.conv_kernel=[10,8],encoder.num_conv_pos_embeddings=4,"
    "encoder.num_conv_pos_embedding_groups=2,decoder.hidden_size=16,decoder.num_hidden_layers=1,"
    "decoder.num_attention_heads=2,decoder.intermediate_size=16,decoder.vocab_size=50",
    "wav2vec2": f"{WIDTH},intermediate_size=16,conv_dim=[8,8],conv_stride=[5,4],"
    "conv_kernel=[10,8],num_conv_pos_embeddings=4,num_conv_pos_embedding_groups=2,vocab_size=9",
    "distilbert": "dim=16,n_layers=1,n_heads=2,hidden_dim=16,vocab_size=50",
    "bloom": f"{WIDTH},vocab_size=50",
    "swin": "embed_dim=8,depths=[1,1],num_heads=[1,1],image_size=32,window_size=4,patch_size=2",
    "resnet": "embedding_size=8,hidden_sizes=[8,8],depths=[1,1]",
}
LIMITED = ["bert", "roberta", "gpt2", "opt", "bart", "whisper"]


def small(name, train):
    text = f"transformers:{name}{',' if '?' in name else '?'}{SMALL[name]}"
    source = open_source(text, train)
    torch.manual_seed(0)
    return source, source.build().train(train)


def run(source, module, **sizes):
    """A real call at small sizes, whole-number entries drawn below their bound."""
    point = {
        name: {"B": 2, "N": 900}.get(name, min(size, 8)) for name, size in source.defaults.items()
    }
    point.update(sizes)
    tensors = {}
    for one in source.inputs:
        shape = one.shape(point)
        whole = torch.randint(min(3, one.below - 1), one.below, shape)
        tensors[one.name] = whole if one.dtype == "int64" else torch.randn(shape)
    return module(**tensors, **source.arguments)


@pytest.mark.parametrize("name", SMALL)
def test_the_call_is_one_the_library_accepts(name):
    source, module = small(name, True)
    out = run(source, module)
    loss = out.loss if out.get("loss") is not None else out[0].mean()
    assert (out.get("loss") is None) == name.startswith("wav2vec2")
    loss.backward()
    assert any(one.grad is not None and one.grad.abs().sum() > 0 for one in module.parameters())
    source, module = small(name, False)
    with torch.no_grad():
        assert run(source, module) is not None


@pytest.mark.parametrize("name", LIMITED)
def test_the_largest_size_is_where_the_position_table_ends(name):
    source, module = small(name, False)
    letter = "T" if name == "whisper" else "S"
    with torch.no_grad():
        run(source, module, **{letter: source.most[letter]})
        with pytest.raises((IndexError, RuntimeError, ValueError)):
            run(source, module, **{letter: source.most[letter] + 1})


def test_a_vocabulary_may_be_two_or_in_a_part():
    """Entries are below the smaller one: fsmt has one for each language."""
    text = "transformers:fsmt?src_vocab_size=70,tgt_vocab_size=60"
    assert [one.below for one in open_source(text, True).inputs] == [60, 60, 60]
    text = "transformers:encoder-decoder?decoder.vocab_size=50"
    assert [one.below for one in open_source(text, True).inputs] == [50, 50]


@pytest.mark.parametrize("name", ["llama", "bloom", "t5", "mamba"])
def test_without_a_position_table_there_is_no_largest_size(name):
    source, module = small(name, False)
    assert not source.most
    with torch.no_grad():
        run(source, module, S=100)


def test_changes_reach_the_network_and_what_is_derived_from_them():
    text = "transformers:llama?hidden_size=64,num_attention_heads=8,num_hidden_layers=3"
    with torch.device("meta"):
        module = open_source(text).build()
    assert len(module.model.layers) == 3
    assert module.config.head_dim == 8
    text = "transformers:gemma3?text_config.num_hidden_layers=2"
    with torch.device("meta"):
        module = open_source(text).build()
    assert len(module.model.language_model.layers) == 2
    with torch.device("meta"):
        module = open_source("transformers:gpt2?num_hidden_layers=2").build()
    assert len(module.transformer.h) == 2


def test_a_training_step_is_not_a_matter_of_chance():
    text = "transformers:wav2vec2?layerdrop=0.5,num_hidden_layers=1"
    training, inference = open_source(text, True), open_source(text, False)
    assert training.notes[1:3] == (
        "layerdrop is set to 0.0: it is drawn at random",
        "apply_spec_augment is set to False: it is drawn at random",
    )
    with torch.device("meta"):
        ours, theirs = training.build().config, inference.build().config
    assert (ours.layerdrop, ours.apply_spec_augment) == (0.0, False)
    assert (theirs.layerdrop, theirs.apply_spec_augment) == (0.5, True)


def test_dice_in_a_part_of_a_configuration_are_laid_down_too():
    source = open_source("transformers:lasr_ctc?encoder_config.num_hidden_layers=1", True)
    assert "layerdrop is set to 0.0: it is drawn at random" in source.notes
    with torch.device("meta"):
        assert source.build().config.encoder_config.layerdrop == 0.0
    source = open_source("transformers:lasr_ctc?encoder_config.num_hidden_layers=1", False)
    with torch.device("meta"):
        assert source.build().config.encoder_config.layerdrop > 0


def test_tied_weights_stay_tied_and_each_build_is_fresh():
    source = open_source("transformers:gpt2")
    with torch.device("meta"):
        first, second = source.build(), source.build()
    assert first is not second
    assert first.lm_head.weight is first.transformer.wte.weight
    assert sum(one.numel() for one in first.parameters()) == 124_439_808


def written(folder, fields, name="config.json"):
    (folder / name).write_text(fields if isinstance(fields, str) else json.dumps(fields))
    return f"transformers:{folder / name}"


def test_a_file_and_a_folder(tmp_path):
    fields = {
        "model_type": "bert",
        "architectures": ["BertForTokenClassification"],
        "num_hidden_layers": 1,
        "torch_dtype": "bfloat16",
        "id2label": {"0": "a", "1": "b", "2": "c"},
    }
    text = written(tmp_path, fields)
    for place in (text, f"transformers:{tmp_path}"):
        source = open_source(place)
        assert source.name == place
        assert source.inputs[1].below == 3
        assert source.notes == (
            "BertForTokenClassification, which ?architectures=… changes",
            "the configuration says bfloat16; --precision decides",
        )
        with torch.device("meta"):
            assert source.build().dtype == torch.float32


def test_a_type_goes_before_a_folder_of_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "llama").mkdir()
    written(tmp_path / "llama", {"model_type": "gpt2"})
    assert open_source("transformers:llama").notes[0].startswith("LlamaForCausalLM")
    assert open_source("transformers:./llama").notes[0].startswith("GPT2LMHeadModel")


def test_the_users_inputs_replace_the_models_own():
    given = (parse_input("input_ids=B,128"), parse_input("attention_mask=B,128:int64"))
    source = open_source("transformers:bert", True, given)
    assert " ".join(map(str, source.inputs)) == (
        "input_ids=B,128:int64 labels=B,128:int64 attention_mask=B,128:int64"
    )
    assert source.inputs[0].below == 30522
    assert dict(source.defaults) == {"B": 1}


LLAMA = {"model_type": "llama"}
FAULTS = {
    "negative": (LLAMA | {"hidden_size": -4}, "hidden_size is -4; give a whole number from 1"),
    "alias": (
        {"model_type": "gpt2", "n_embd": -4},
        "n_embd is -4; give a whole number from 1",
    ),
    "layers": (
        LLAMA | {"num_hidden_layers": -1},
        "num_hidden_layers is -1; give a whole number from 0",
    ),
    "part": (
        {"model_type": "clip", "text_config": {"model_type": "clip_text_model", "vocab_size": 0}},
        "vocab_size is 0; give a whole number from 1",
    ),
    "kind": (
        LLAMA | {"hidden_size": "big"},
        "hidden_size='big': Field 'hidden_size' expected int, got str (value: 'big'); "
        "correct the configuration",
    ),
    "division": (
        {"model_type": "bert", "hidden_size": 100},
        "hidden_size=100: The hidden size (100) is not a multiple of the number of attention "
        "heads (12); correct the configuration",
    ),
    "function": (
        {"model_type": "bert", "hidden_act": "nope"},
        "hidden_act='nope': KeyError: 'nope'; correct the configuration",
    ),
    "type": (
        {"model_type": "lama"},
        "transformers has no model_type 'lama'; did you mean llama, mllama, llama4?",
    ),
    "none": (
        {"hidden_size": 4},
        'the configuration has no model_type; add one, such as "model_type": "llama"',
    ),
    "code": (
        {"model_type": "mine", "auto_map": {"AutoModel": "code.Mine"}},
        "model_type 'mine' needs code of its own, which is not run; "
        "write a FILE.py:NAME that builds it",
    ),
    "class": (
        LLAMA | {"architectures": ["LlamaForCausalLMM"]},
        "transformers has no class LlamaForCausalLMM; "
        "did you mean LlamaForCausalLM, Llama4ForCausalLM, MllamaForCausalLM?",
    ),
    "list": ("[1]", "config.json holds no JSON object; give a model's config.json"),
    "json": (
        '{\n"a": 1,',
        "config.json is no JSON: Expecting property name enclosed in double quotes at line 2; "
        "correct the file",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_configuration_that_is_wrong(name, tmp_path):
    fields, said = FAULTS[name]
    text = written(tmp_path, fields)
    with pytest.raises(BotecError) as caught:
        open_source(text).build()
    assert str(caught.value) == f"{text}: {said}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no model is named; give a model type, a path, or a hub id as owner/name"),
        (
            "lama",
            "'lama' is no model type of transformers and no file; "
            "did you mean llama, mllama, llama4?",
        ),
        ("./nowhere/config.json", "there is no nowhere/config.json; check the path"),
        (
            "llama?hidden_sizes=4",
            "the configuration has no field 'hidden_sizes'; did you mean hidden_size?",
        ),
        (
            "gemma3?text_config.hiden_size=4",
            "text_config has no field 'hiden_size'; did you mean hidden_size?",
        ),
        (
            "llama?hidden_size",
            "'hidden_size' changes no field; write changes as ?hidden_size=1024,num_labels=10",
        ),
        (
            "perceiver?architectures=PerceiverForMultimodalAutoencoding",
            "PerceiverForMultimodalAutoencoding needs inputs, whose shape is not told; "
            'give its shape, such as --input "inputs=B,S"',
        ),
    ],
)
def test_what_the_user_can_get_wrong(text, said):
    with pytest.raises(BotecError) as caught:
        open_source(f"transformers:{text}")
    assert str(caught.value) == f"transformers:{text}: {said}"


OFFLINE = (
    "transformers:nobody/nothing: the model hub cannot be reached and the cache has no "
    "config.json of it; go online, or give the path of its config.json"
)


def test_a_hub_id_without_a_network_is_one_quick_error(asked_network, capfd, monkeypatch):
    from urllib.parse import urlparse

    import huggingface_hub

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    start = time.monotonic()
    with pytest.raises(BotecError) as caught:
        open_source("transformers:nobody/nothing")
    assert str(caught.value) == OFFLINE
    assert time.monotonic() - start < 5
    assert capfd.readouterr() == ("", "")
    assert set(asked_network) == {urlparse(huggingface_hub.constants.ENDPOINT).hostname}
    asked_network[:] = ["allowed"]


def test_a_hub_that_may_not_be_asked_is_not(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(BotecError) as caught:
        open_source("transformers:nobody/nothing")
    assert str(caught.value) == OFFLINE


def test_a_cached_hub_id_is_read_without_asking(monkeypatch, tmp_path):
    written(tmp_path, {"model_type": "gpt2", "n_layer": 1})
    place = str(tmp_path / "config.json")
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *given: place)
    assert open_source("transformers:some/model").inputs[0].names == ("B", "S")


def test_a_hub_id_that_is_not_there(monkeypatch):
    def absent(*given, **named):
        raise OSError("Repository Not Found. Sign in.")

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(transformers_config, "reachable", lambda address: True)
    monkeypatch.setattr("huggingface_hub.hf_hub_download", absent)
    with pytest.raises(BotecError) as caught:
        open_source("transformers:nobody/nothing")
    assert str(caught.value) == (
        "transformers:nobody/nothing: the model hub has no config.json for it: "
        "Repository Not Found; check the id, or give the path of its config.json"
    )


def test_nothing_reaches_stderr(capfd):
    with torch.device("meta"):
        open_source("transformers:gpt2?vocab_size=7").build()
    assert capfd.readouterr() == ("", "")


def test_layers_tell_what_they_put_out_from_the_start():
    """A first call with few layers must not be the one that decides which are listened to."""
    source = open_source("transformers:dinov2?num_hidden_layers=6,hidden_size=48", True)
    with torch.device("meta"):
        module = source.build()
    layers = module.dinov2.encoder.layer
    module.dinov2.encoder.layer = layers[:2]
    pixels = torch.empty(1, 3, 518, 518, device="meta")
    assert len(module(pixels, output_hidden_states=True).hidden_states) == 3
    module.dinov2.encoder.layer = layers
    assert len(module(pixels, output_hidden_states=True).hidden_states) == 7


def test_a_decoder_has_positions_for_what_it_predicts_ahead():
    """ProphetNet looks one token further than its last: with real tensors it ends there too."""
    fields = "num_encoder_layers=1,num_decoder_layers=1,hidden_size=16,encoder_ffn_dim=8"
    fields += ",decoder_ffn_dim=8,num_encoder_attention_heads=2,num_decoder_attention_heads=2"
    text = f"transformers:prophetnet?{fields},vocab_size=50,max_position_embeddings=20"
    source = open_source(text, True)
    most = source.most["T"]
    module = source.build()
    for length, works in ((most, True), (most + 1, False)):
        labels = torch.randint(1, 50, (1, length))
        if works:
            module(input_ids=labels, labels=labels).loss.backward()
            continue
        with pytest.raises((IndexError, RuntimeError)):
            module(input_ids=labels, labels=labels)

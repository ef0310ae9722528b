"""A local folder of another architecture as a chat model, run by transformers; safetensors only."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from langchain_core.callbacks import CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import ConfigDict, Field, PrivateAttr

from rag.types import RagError

_ROLES = {"human": "user", "ai": "assistant", "system": "system"}


class ChatTransformers(BaseChatModel):
    """Any causal language model of a local folder; make it with `ChatTransformers.load`."""

    model_config = ConfigDict(arbitrary_types_allowed=True)

    model_name: str
    temperature: float = Field(0.0, ge=0.0, le=2.0)
    top_p: float = Field(1.0, gt=0.0, le=1.0)
    max_tokens: int = Field(256, ge=1)
    seed: int = 0
    _model: Any = PrivateAttr(None)
    _tokenizer: Any = PrivateAttr(None)
    _lock: threading.Lock = PrivateAttr(default_factory=threading.Lock)

    @classmethod
    def load(cls, folder: Path, **options: Any) -> ChatTransformers:
        """Load from local files alone, without remote code; RagError when it is not a causal safetensors model."""
        if not any(folder.glob("*.safetensors")):
            raise RagError(f"{folder} holds no .safetensors weights, and pickled weights are not loaded: convert them.")
        from transformers import AutoModelForCausalLM, AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
            model = AutoModelForCausalLM.from_pretrained(
                str(folder), local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
        except Exception as error:  # the library raises many kinds for a bad folder; the user gets one sentence
            reason = " ".join(str(error).split())[:200]
            raise RagError(f"The model folder {folder} cannot be loaded ({reason}).") from None
        chat = cls(model_name=str(folder), **options)
        chat._model, chat._tokenizer = model.eval(), tokenizer
        return chat

    @property
    def _llm_type(self) -> str:
        return "openbook-transformers"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name, "temperature": self.temperature, "top_p": self.top_p}

    def _prompt(self, messages: list[BaseMessage]) -> Any:
        talk = [{"role": _ROLES.get(m.type, "user"), "content": m.text} for m in messages]
        if getattr(self._tokenizer, "chat_template", None):
            text = self._tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
            return self._tokenizer(text, return_tensors="pt", add_special_tokens=False)
        text = "\n\n".join(turn["content"] for turn in talk) + "\n\n"
        return self._tokenizer(text, return_tensors="pt")

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        chunks = list(self._stream(messages, stop, None, **kwargs))
        last = chunks[-1].message
        assert isinstance(last, AIMessageChunk)
        message = AIMessage(
            content="".join(str(chunk.message.content) for chunk in chunks),
            usage_metadata=last.usage_metadata,
            response_metadata=last.response_metadata,
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        import torch
        from transformers import StoppingCriteria, StoppingCriteriaList, TextIteratorStreamer

        inputs = self._prompt(messages)
        size = int(inputs["input_ids"].shape[1])
        temperature = float(kwargs.get("temperature", self.temperature))
        cancel, quit_ = kwargs.get("cancel"), threading.Event()

        class Asked(StoppingCriteria):  # type: ignore[misc]
            def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
                over = quit_.is_set() or (cancel is not None and cancel.is_set())
                return torch.full((input_ids.shape[0],), over, dtype=torch.bool, device=input_ids.device)

        streamer = TextIteratorStreamer(self._tokenizer, skip_prompt=True, skip_special_tokens=True)
        options: dict[str, Any] = {"do_sample": temperature > 0}
        if temperature > 0:
            options.update(temperature=temperature, top_p=float(kwargs.get("top_p", self.top_p)))
        failed: list[BaseException] = []
        made: list[int] = []

        def work() -> None:
            try:
                with self._lock, torch.inference_mode():
                    torch.manual_seed(int(kwargs.get("seed", self.seed)))
                    out = self._model.generate(
                        **inputs,
                        max_new_tokens=int(kwargs.get("max_tokens") or self.max_tokens),
                        streamer=streamer,
                        stopping_criteria=StoppingCriteriaList([Asked()]),
                        pad_token_id=self._tokenizer.pad_token_id or self._tokenizer.eos_token_id or 0,
                        **options,
                    )
                    made.append(int(out.shape[1]) - size)
            except BaseException as error:  # handed to the thread that asked
                failed.append(error)
                streamer.end()

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        shown = ""
        try:
            for piece in streamer:
                text, over = _until(shown, piece, stop or [])
                shown += text
                if text:
                    chunk = ChatGenerationChunk(message=AIMessageChunk(content=text))
                    if run_manager is not None:
                        run_manager.on_llm_new_token(text, chunk=chunk)
                    yield chunk
                if over:
                    break
        finally:
            quit_.set()
            worker.join()
        if failed:
            raise RagError(f"The model {self.model_name} failed: {' '.join(str(failed[0]).split())[:200]}.")
        count = made[0] if made else 0
        usage = UsageMetadata(input_tokens=size, output_tokens=count, total_tokens=size + count)
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=usage,
                response_metadata={"model_name": self.model_name},
                chunk_position="last",
            )
        )


def _until(shown: str, piece: str, stop: list[str]) -> tuple[str, bool]:
    """The part of ``piece`` before the first stop string, and whether one was met."""
    whole = shown + piece
    found = [at for s in stop if s and (at := whole.find(s, max(0, len(shown) - len(s)))) >= 0]
    return (whole[len(shown) : max(len(shown), min(found))], True) if found else (piece, False)

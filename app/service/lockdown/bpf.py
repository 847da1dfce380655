"""An assembler for the classic BPF of seccomp filters (linux/filter.h, linux/seccomp.h)."""

import ctypes
import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

#: What a filter may return.
ALLOW: Final = 0x7FFF_0000
KILL_PROCESS: Final = 0x8000_0000
_ERRNO: Final = 0x0005_0000
FORBIDDEN: Final = _ERRNO | errno.EPERM
UNKNOWN: Final = _ERRNO | errno.ENOSYS

#: BPF_LD|BPF_W|BPF_ABS, BPF_ALU|BPF_AND|BPF_K, BPF_JMP|BPF_JEQ|BPF_K, BPF_JMP|BPF_JGE|BPF_K, BPF_RET|BPF_K.
_LOAD: Final = 0x20
_AND: Final = 0x54
_JUMP_EQUAL: Final = 0x15
_JUMP_NOT_BELOW: Final = 0x35
_RETURN: Final = 0x06

#: Where `struct seccomp_data` has what: the call's number, the processor, six arguments of eight bytes.
_NUMBER_AT: Final = 0
_ARCH_AT: Final = 4
_ARGUMENTS_AT: Final = 16
#: x86_64 takes its calls in the x32 form, too, under numbers from here on. No other processor has any there.
_X32: Final = 0x4000_0000


@dataclass(frozen=True, slots=True)
class Check:
    """What one argument has to be: its low half (or the high one), as far as `mask` goes, equals `value`."""

    argument: int
    value: int
    mask: int = 0xFFFF_FFFF
    high: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """A system call that is allowed when every check holds."""

    number: int
    checks: Sequence[Check] = ()


class _Instruction(ctypes.Structure):
    """`struct sock_filter`."""

    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("operand", ctypes.c_uint32),
    )


class Program(ctypes.Structure):
    """`struct sock_fprog`; it keeps its instructions alive."""

    _fields_ = (("length", ctypes.c_uint16), ("instructions", ctypes.POINTER(_Instruction)))

    @property
    def address(self) -> int:
        """Where it lies in memory."""
        return ctypes.addressof(self)


def assemble(audit_arch: int, rules: Iterable[Rule], unknown: Iterable[int]) -> Program:
    """Write the filter: what no rule allows fails with EPERM, and the calls in `unknown` as if there were none such.

    A call in another processor's form, which no library of ours makes, ends the process.
    """
    code = [
        _Instruction(_LOAD, 0, 0, _ARCH_AT),
        _Instruction(_JUMP_EQUAL, 1, 0, audit_arch),
        _Instruction(_RETURN, 0, 0, KILL_PROCESS),
        _Instruction(_LOAD, 0, 0, _NUMBER_AT),
        _Instruction(_JUMP_NOT_BELOW, 0, 1, _X32),
        _Instruction(_RETURN, 0, 0, KILL_PROCESS),
    ]
    for rule in rules:
        code += _for_call(rule.number, _allow_if(rule.checks))
    for number in unknown:
        code += _for_call(number, [_Instruction(_RETURN, 0, 0, UNKNOWN)])
    code.append(_Instruction(_RETURN, 0, 0, FORBIDDEN))
    return Program(len(code), (_Instruction * len(code))(*code))


def _for_call(number: int, then: list[_Instruction]) -> list[_Instruction]:
    """Do `then`, which returns, for one call; go on behind it for any other."""
    return [_Instruction(_JUMP_EQUAL, 0, len(then), number), *then]


def _allow_if(checks: Sequence[Check]) -> list[_Instruction]:
    code: list[_Instruction] = []
    for check in checks:
        at = _ARGUMENTS_AT + 8 * check.argument + 4 * check.high
        code += [
            _Instruction(_LOAD, 0, 0, at),
            _Instruction(_AND, 0, 0, check.mask),
            _Instruction(_JUMP_EQUAL, 1, 0, check.value),
            _Instruction(_RETURN, 0, 0, FORBIDDEN),
        ]
    return [*code, _Instruction(_RETURN, 0, 0, ALLOW)]

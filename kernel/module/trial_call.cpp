// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// TrialCall: copying a question and its answer, asking again, and saying both in words.

#include "kernel/module/trial_call.hpp"

#include "helix/format.hpp"
#include "kernel/module/service_scope.hpp"

namespace helix::kernel {

namespace {

/// How many machine words the argument takes.
size_t words_of(const ArgumentShape& argument) {
    if (argument.kind == ArgumentKind::None) return 0;
    return argument.kind == ArgumentKind::Value ? argument.size : 2;
}
bool is_span(const ArgumentShape& argument) {
    return argument.kind == ArgumentKind::Input || argument.kind == ArgumentKind::Output;
}
/// Of the span whose second word is `count`; more than anything holds if that overflows.
size_t bytes_of(const ArgumentShape& argument, uint64_t count) {
    size_t size = 0;
    return __builtin_mul_overflow(count, uint64_t{argument.size}, &size) ? SIZE_MAX : size;
}

/// `bytes` as a text in quotes, or in hexadecimal if they are none; cut where they are many. Zeros at the end are left
/// out of a text.
void append_bytes(FixedText<100>& out, Bytes bytes) {
    constexpr size_t kShown = 24;
    size_t size = bytes.size();
    while (size > 0 && bytes[size - 1] == 0) --size;
    bool printable = true;
    for (size_t i = 0; i < size; ++i) printable &= bytes[i] >= 0x20 && bytes[i] < 0x7F;
    if (!printable) size = bytes.size();
    out.append(printable ? Text("\"") : Text("0x"));
    for (size_t i = 0; i < size && i < kShown; ++i) {
        if (printable) {
            out.append(static_cast<char>(bytes[i]));
            continue;
        }
        out.append("0123456789abcdef"[bytes[i] >> 4]);
        out.append("0123456789abcdef"[bytes[i] & 15]);
    }
    if (size > kShown) out.append("...");
    if (printable) out.append("\"");
}

/// A value of up to a word is a number.
void append_value(FixedText<100>& out, Bytes value) {
    uint64_t number = 0;
    if (value.size() > sizeof(number)) return append_bytes(out, value);
    __builtin_memcpy(&number, value.data(), value.size());
    out.append(format<48>("{}", number).text());
}

void separate(FixedText<100>& out) {
    if (!out.empty()) out.append(", ");
}

/// What the kernel takes an answer for that goes through memory: as large as any.
struct Large {
    uint8_t bytes[256];
};
struct TwoWords {
    uint64_t words[2];
};
static_assert(sizeof(Result<Large>) > sizeof(Large));

}  // namespace

bool TrialAnswer::append(Instance& of, const void* from, size_t count) {
    if (count > kCapacity - size || !copy_in(of, bytes + size, from, count)) return false;
    size = static_cast<uint16_t>(size + count);
    return true;
}

[[gnu::noinline]] TrialCall::TrialCall() = default;

bool TrialCall::copy_arguments(Instance& caller) {
    data_size = 0;
    const uint64_t* word = words;
    for (const ArgumentShape& argument : shape->arguments) {
        if (is_span(argument)) {
            const size_t size = bytes_of(argument, word[1]);
            if (size > kData - data_size) return false;
            if (!copy_in(caller, data + data_size, reinterpret_cast<const void*>(word[0]), size)) return false;
            data_size = static_cast<uint16_t>(data_size + size);
        }
        word += words_of(argument);
    }
    return true;
}

bool TrialCall::read_answer(Instance& of, uint64_t rax, uint64_t rdx, const void* memory, const uint64_t* arguments,
                            TrialAnswer& out) const {
    out.size = 0;
    uint64_t registers[2] = {rax, rdx};
    Large copy;
    const uint8_t* whole = reinterpret_cast<const uint8_t*>(registers);
    if (shape->hidden) {
        if (shape->answer_size > sizeof(copy) || !copy_in(of, &copy, memory, shape->answer_size)) return false;
        whole = copy.bytes;
    }
    bool well = true;
    if (shape->is_result) {
        well = whole[0] != 0;
        if (!out.append(of, &well, sizeof(well))) return false;
        ErrorCode code{};
        __builtin_memcpy(&code, whole + shape->value_at, sizeof(code));
        if (!well && code == ErrorCode::Restart) return false;  // that is no answer
        if (!well && !out.append(of, &code, sizeof(code))) return false;
    }
    if (well && shape->value_size != 0) {
        const uint8_t* value = whole + shape->value_at;
        size_t size = shape->value_size;
        if (shape->is_span) {
            uint64_t span[2];
            __builtin_memcpy(span, value, sizeof(span));
            value = reinterpret_cast<const uint8_t*>(span[0]);
            size = span[1];
        }
        if (!out.append(of, value, size)) return false;
    }
    for (const ArgumentShape& argument : shape->arguments) {
        if (argument.kind == ArgumentKind::Output &&
            !out.append(of, reinterpret_cast<const void*>(arguments[0]), bytes_of(argument, arguments[1])))
            return false;
        arguments += words_of(argument);
    }
    return true;
}

GateFailure TrialCall::ask(const SlotTarget& to, TrialAnswer& out, bool& read) {
    uint64_t arguments[MethodShape::kMaximumArguments];
    __builtin_memcpy(arguments, words, sizeof(words));
    uint64_t* word = arguments;
    size_t at = 0;
    for (const ArgumentShape& argument : shape->arguments) {
        if (is_span(argument)) {
            word[0] = reinterpret_cast<uint64_t>(data + at);
            at += bytes_of(argument, word[1]);
        }
        word += words_of(argument);
    }
    uint64_t w[MethodShape::kMaximumArguments];
    __builtin_memcpy(w, arguments, sizeof(w));
    // Where the answer goes to memory, that comes first, then the object: otherwise the object alone.
    Large large;
    TwoWords two{};
    const void* first = to.implementation;
    if (shape->hidden) {
        for (size_t i = MethodShape::kMaximumArguments; --i > 0;) w[i] = w[i - 1];
        w[0] = reinterpret_cast<uint64_t>(first);
        first = &large;
    }
    const bool bounded = has(shape->traits, MethodTraits::Bounded);
    if (bounded) preempt_disable();
    const uint32_t count = preempt_count();
    const GateFailure failure = detail::cross<GateKind::Module, detail::Callee::Method, TwoWords>(
        to.instance, to.implementation, shape->offset, first, &two, w[0], w[1], w[2], w[3], w[4]);
    const bool kept_count = preempt_count() == count;
    const GateFailure outcome = kept_count ? failure : fail_for_preemption(to.instance, count);
    if (bounded) preempt_enable();
    if (outcome == GateFailure::None)
        read = read_answer(instance_of(to.instance), two.words[0], two.words[1], &large, arguments, out);
    return outcome;
}

FixedText<100> TrialCall::describe_arguments() const {
    FixedText<100> out;
    const uint64_t* word = words;
    size_t at = 0;
    for (const ArgumentShape& argument : shape->arguments) {
        if (argument.kind == ArgumentKind::None) break;
        separate(out);
        if (!is_span(argument)) {
            append_value(out, {reinterpret_cast<const uint8_t*>(word), argument.size * sizeof(uint64_t)});
        } else {
            const size_t size = bytes_of(argument, word[1]);
            if (argument.kind == ArgumentKind::Input)
                append_bytes(out, {data + at, size});
            else
                out.append(counted(size, "byte").text());
            at += size;
        }
        word += words_of(argument);
    }
    return out;
}

FixedText<100> TrialCall::describe(const TrialAnswer& answered) const {
    FixedText<100> out;
    Bytes rest(answered.bytes, answered.size);
    const bool well = !shape->is_result || rest[0] != 0;
    if (shape->is_result) rest = rest.subspan(1);
    if (!well) {
        ErrorCode code{};
        __builtin_memcpy(&code, rest.data(), sizeof(code));
        out.append("error: ");
        out.append(helix::describe(code));
    } else if (!shape->is_span && shape->value_size != 0) {
        append_value(out, rest.subspan(0, shape->value_size));
    }
    rest = rest.subspan(well ? (shape->is_span ? 0 : shape->value_size) : sizeof(ErrorCode));
    if (!rest.empty()) {  // a span that is returned, and those that were filled
        separate(out);
        append_bytes(out, rest);
    }
    return out;
}

}  // namespace helix::kernel

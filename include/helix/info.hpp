// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleInfo and options: what is known of a module before any of it runs.
//
// Everything is stored inline, without a pointer, so that a tool reads it from the file as it is.
#pragma once

#include "helix/types.hpp"

namespace helix {

enum class ModuleFlags : uint32_t {
    None = 0,
    Essential = 1 << 0,      ///< cannot be unloaded; the kernel panics if it fails for good
    HotReloadable = 1 << 1,  ///< may be replaced while it runs
    Userspace = 1 << 2,      ///< runs in ring 3
    Driver = 1 << 3,
    Filesystem = 1 << 4,
    Scheduler = 1 << 5,
    Allocator = 1 << 6,
    Security = 1 << 7,
    Experimental = 1 << 8,
    /// Restoring a state that was saved a while ago does no harm, after a crash. Where the profile asks for
    /// checkpoints, it is saved while the module serves: like requests and events, beside calls by handle.
    RestoresStale = 1 << 9,
};

constexpr ModuleFlags operator|(ModuleFlags a, ModuleFlags b) {
    return static_cast<ModuleFlags>(static_cast<uint32_t>(a) | static_cast<uint32_t>(b));
}
constexpr bool has(ModuleFlags set, ModuleFlags flag) {
    return (static_cast<uint32_t>(set) & static_cast<uint32_t>(flag)) != 0;
}

/// The names of the flags, by bit.
inline constexpr Text kModuleFlagNames[] = {"Essential", "HotReloadable", "Userspace", "Driver",       "Filesystem",
                                            "Scheduler", "Allocator",     "Security",  "Experimental", "RestoresStale"};

/// At most `Capacity` short texts; one more does not compile.
template <size_t Capacity, size_t Length>
class TextList {
public:
    constexpr TextList() = default;
    template <size_t N>
    constexpr TextList(const Text (&texts)[N]) {
        static_assert(N <= Capacity, "too many entries");
        for (const Text& text : texts) {
            if (text.size() > Length) __builtin_trap();  // at compile time: an entry is too long
            items_[count_++].assign(text);
        }
    }
    constexpr size_t size() const { return count_; }
    constexpr Text operator[](size_t i) const { return items_[i].text(); }
    constexpr bool contains(Text text) const {
        for (size_t i = 0; i < count_; ++i)
            if (items_[i] == text) return true;
        return false;
    }

private:
    uint32_t count_ = 0;
    FixedText<Length> items_[Capacity];
};

/// Who a module is, what it needs and what it offers. Built at compile time by chaining:
///   ModuleInfo{"my-scheduler"}.version(1, 0, 0).description("…").dependencies({"helix-execution >=1.0"})
class ModuleInfo {
public:
    using Dependencies = TextList<8, 62>;
    using Provides = TextList<6, 46>;
    using Conflicts = TextList<4, 62>;
    using Optional = TextList<4, 62>;

    template <size_t N>
    consteval explicit ModuleInfo(const char (&name)[N]) : name_(name) {}
    constexpr ModuleInfo() = default;

    consteval ModuleInfo version(uint16_t major, uint16_t minor, uint16_t patch) const {
        ModuleInfo copy = *this;
        copy.version_ = {major, minor, patch};
        return copy;
    }
    template <size_t N>
    consteval ModuleInfo description(const char (&text)[N]) const {
        ModuleInfo copy = *this;
        copy.description_ = text;
        return copy;
    }
    template <size_t N>
    consteval ModuleInfo author(const char (&text)[N]) const {
        ModuleInfo copy = *this;
        copy.author_ = text;
        return copy;
    }
    template <size_t N>
    consteval ModuleInfo license(const char (&text)[N]) const {
        ModuleInfo copy = *this;
        copy.license_ = text;
        return copy;
    }
    consteval ModuleInfo flags(ModuleFlags flags) const {
        ModuleInfo copy = *this;
        copy.flags_ = flags;
        return copy;
    }
    /// Module names or provided capabilities, each with an optional semver range: "helix-execution >=1.2, <2". The
    /// range of a capability is compared with the version of the module that provides it: capabilities have none of
    /// their own. The versions of interfaces are another matter, which bind checks.
    template <size_t N>
    consteval ModuleInfo dependencies(const Text (&texts)[N]) const {
        ModuleInfo copy = *this;
        copy.dependencies_ = Dependencies(texts);
        return copy;
    }
    /// What it can do without, written like dependencies. Where one of them is there, in a version that will do, it is
    /// started before this module and stopped after it. It may come and go otherwise, and nobody waits for it.
    template <size_t N>
    consteval ModuleInfo optional(const Text (&texts)[N]) const {
        ModuleInfo copy = *this;
        copy.optional_ = Optional(texts);
        return copy;
    }
    /// Capabilities; every interface that the module implements is one of them. Each has the module's version.
    template <size_t N>
    consteval ModuleInfo provides(const Text (&texts)[N]) const {
        ModuleInfo copy = *this;
        copy.provides_ = Provides(texts);
        return copy;
    }
    /// Who must not be there at the same time, written like dependencies: it is loaded only while none of these runs,
    /// and none of these while it runs, whoever came first. It does not conflict with what it provides itself, so "my
    /// capability, from nobody else" can be said.
    template <size_t N>
    consteval ModuleInfo conflicts(const Text (&texts)[N]) const {
        ModuleInfo copy = *this;
        copy.conflicts_ = Conflicts(texts);
        return copy;
    }
    /// Version of the state that save_state writes; restore_state reads this one and older ones. Default 1.
    consteval ModuleInfo state_schema(uint32_t version) const {
        ModuleInfo copy = *this;
        copy.state_schema_ = version;
        return copy;
    }

    /// The name of that state's format. Modules that name the same one read each other's state, by the schemas'
    /// numbers: it passes from one to the other when the one is loaded to take the other's place. Default: the module's
    /// name.
    template <size_t N>
    consteval ModuleInfo state_format(const char (&text)[N]) const {
        ModuleInfo copy = *this;
        copy.state_format_ = text;
        return copy;
    }

    constexpr Text name() const { return name_.text(); }
    constexpr Version version() const { return version_; }
    constexpr Text description() const { return description_.text(); }
    constexpr Text author() const { return author_.text(); }
    constexpr Text license() const { return license_.text(); }
    constexpr ModuleFlags flags() const { return flags_; }
    constexpr const Dependencies& dependencies() const { return dependencies_; }
    constexpr const Provides& provides() const { return provides_; }
    constexpr const Conflicts& conflicts() const { return conflicts_; }
    constexpr const Optional& optional() const { return optional_; }
    constexpr uint32_t state_schema() const { return state_schema_; }
    constexpr Text state_format() const { return state_format_.empty() ? name_.text() : state_format_.text(); }

private:
    FixedText<46> name_;
    Version version_;
    ModuleFlags flags_ = ModuleFlags::None;
    uint32_t state_schema_ = 1;
    FixedText<158> description_;
    FixedText<62> author_;
    FixedText<46> license_;
    Dependencies dependencies_;
    Provides provides_;
    Conflicts conflicts_;
    Optional optional_;
    FixedText<46> state_format_;
};

enum class OptionType : uint32_t {
    Integer = 1,   ///< signed decimal, 64 bits
    Boolean = 2,   ///< "true" or "false"
    Size = 3,      ///< bytes: a number with an optional K, M or G (powers of 1,024)
    Duration = 4,  ///< a number with ns, us, ms or s
    String = 5,    ///< any text
};

/// One configuration key of a module. Profiles are checked against it.
struct Option {
    FixedText<38> key;
    OptionType type = OptionType::String;
    FixedText<38> default_value;
    FixedText<110> documentation;  ///< one line
    /// Both inclusive; for Integer as written, for Size in bytes, for Duration in ns. Unused otherwise.
    int64_t minimum = INT64_MIN;
    int64_t maximum = INT64_MAX;

    template <size_t K, size_t D>
    static consteval Option integer(const char (&key)[K], int64_t minimum, int64_t maximum, int64_t otherwise,
                                    const char (&documentation)[D]) {
        Option option{key, OptionType::Integer, {}, documentation, minimum, maximum};
        option.default_value = decimal(otherwise);
        return option;
    }
    template <size_t K, size_t D>
    static consteval Option boolean(const char (&key)[K], bool otherwise, const char (&documentation)[D]) {
        return Option{key, OptionType::Boolean, otherwise ? Text("true") : Text("false"), documentation, 0, 1};
    }
    /// `otherwise` as a profile would write it ("64K"); `minimum` and `maximum` in bytes.
    template <size_t K, size_t V, size_t D>
    static consteval Option size(const char (&key)[K], int64_t minimum, int64_t maximum, const char (&otherwise)[V],
                                 const char (&documentation)[D]) {
        return Option{key, OptionType::Size, otherwise, documentation, minimum, maximum};
    }
    /// `otherwise` as a profile would write it ("10ms"); `minimum_ns` and `maximum_ns` in nanoseconds.
    template <size_t K, size_t V, size_t D>
    static consteval Option duration(const char (&key)[K], int64_t minimum_ns, int64_t maximum_ns,
                                     const char (&otherwise)[V], const char (&documentation)[D]) {
        return Option{key, OptionType::Duration, otherwise, documentation, minimum_ns, maximum_ns};
    }
    template <size_t K, size_t V, size_t D>
    static consteval Option string(const char (&key)[K], const char (&otherwise)[V], const char (&documentation)[D]) {
        return Option{key, OptionType::String, otherwise, documentation, INT64_MIN, INT64_MAX};
    }

private:
    static consteval FixedText<38> decimal(int64_t value) {
        FixedText<38> out;
        uint64_t rest = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
        char digits[20] = {};
        size_t count = 0;
        do {
            digits[count++] = static_cast<char>('0' + rest % 10);
            rest /= 10;
        } while (rest != 0);
        if (value < 0) out.append('-');
        while (count > 0) out.append(digits[--count]);
        return out;
    }
};

}  // namespace helix

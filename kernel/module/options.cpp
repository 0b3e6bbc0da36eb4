// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Type and range of option values.

#include "kernel/module/options.hpp"

#include "helix/format.hpp"
#include "helix/units.hpp"
#include "kernel/module/text_rules.hpp"

namespace helix::kernel {

namespace {

/// `value` with the largest unit that divides it: 65536 is "64K", 10000000 is "10ms".
FixedText<24> with_unit(int64_t value, Span<const detail::Unit> units) {
    for (const detail::Unit& unit : units)
        if (value > 0 && static_cast<uint64_t>(value) % unit.factor == 0)
            return format<24>("{}{}", static_cast<uint64_t>(value) / unit.factor, unit.suffix);
    return format<24>("{}", value);
}

}  // namespace

FixedText<24> describe_bound(const Option& option, int64_t value) {
    constexpr detail::Unit kSizes[] = {{"G", uint64_t{1} << 30}, {"M", uint64_t{1} << 20}, {"K", uint64_t{1} << 10}};
    constexpr detail::Unit kDurations[] = {{"s", 1000000000}, {"ms", 1000000}, {"us", 1000}, {"ns", 1}};
    switch (option.type) {
        case OptionType::Size: return with_unit(value, kSizes);
        case OptionType::Duration: return value == 0 ? FixedText<24>("0ns") : with_unit(value, kDurations);
        default: return format<24>("{}", value);
    }
}

namespace {

/// "from 1 to 1000", or what is left of it when an end is open.
FixedText<62> range_of(const Option& option) {
    const bool has_minimum = option.minimum != INT64_MIN;
    const bool has_maximum = option.maximum != INT64_MAX;
    if (has_minimum && has_maximum)
        return format<62>(" from {} to {}", describe_bound(option, option.minimum).text(),
                          describe_bound(option, option.maximum).text());
    if (has_minimum) return format<62>(" of at least {}", describe_bound(option, option.minimum).text());
    if (has_maximum) return format<62>(" of at most {}", describe_bound(option, option.maximum).text());
    return {};
}

Text type_of(const Option& option) {
    switch (option.type) {
        case OptionType::Integer: return "an integer";
        case OptionType::Boolean: return "true or false";
        case OptionType::Size: return "a size in bytes, with an optional K, M or G,";
        case OptionType::Duration: return "a duration with ns, us, ms or s";
        case OptionType::String: return "a line of text";
    }
    return "nothing that this kernel knows";
}

[[gnu::noinline, gnu::cold]] Error refuse(const Option& option, Text value, ErrorCode code) {
    const bool has_range = option.type != OptionType::Boolean && option.type != OptionType::String;
    return Error(code, format("option {}: \"{}\" is {}; it takes {}{}", option.key.text(), quoted<24>(value).text(),
                              code == ErrorCode::OutOfRange ? Text("out of range") : Text("not valid"), type_of(option),
                              has_range ? range_of(option).text() : Text())
                           .text());
}

}  // namespace

Result<void> check_option(const Option& option, Text value) {
    bool understood = false;
    bool in_range = true;
    switch (option.type) {
        case OptionType::Integer: {
            int64_t number = 0;
            understood = parse_integer(value, number);
            in_range = number >= option.minimum && number <= option.maximum;
            break;
        }
        case OptionType::Boolean: {
            bool ignored = false;
            understood = parse_boolean(value, ignored);
            break;
        }
        case OptionType::Size:
        case OptionType::Duration: {
            uint64_t number = 0;
            understood = option.type == OptionType::Size ? parse_size(value, number) : parse_duration(value, number);
            in_range = number <= INT64_MAX && static_cast<int64_t>(number) >= option.minimum &&
                       static_cast<int64_t>(number) <= option.maximum;
            break;
        }
        case OptionType::String: understood = is_printable(value); break;
    }
    if (!understood) return refuse(option, value, ErrorCode::InvalidArgument);
    if (!in_range) return refuse(option, value, ErrorCode::OutOfRange);
    return {};
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Drawing the runs of a workload.

#include "workload_plot.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>

namespace helix::tool {

namespace {

constexpr double kWidth = 960, kMargin = 24;
constexpr double kCurveLeft = 84, kCurveRight = 760, kCurveTop = 76, kCurveBottom = 376;
constexpr double kBarsTop = 450;
constexpr double kBarHeight = 15, kBarStep = 20;

/// Colours that people with any kind of colour vision tell apart (Okabe and Ito, 2002), black for the last.
constexpr std::array kColors = {"#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A6D3B", "#000000"};
const char* color(size_t index) {
    return kColors[index % kColors.size()];
}

std::string escape(std::string_view text) {
    std::string out;
    for (const char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            default: out += c;
        }
    }
    return out;
}

std::string label(double x, double y, std::string_view anchor, std::string_view text, std::string_view more = {}) {
    return fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}"{}>{}</text>)"
                       "\n",
                       x, y, anchor, more, escape(text));
}
std::string line(double x1, double y1, double x2, double y2, std::string_view style) {
    return fmt::format(R"(<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" {}/>)"
                       "\n",
                       x1, y1, x2, y2, style);
}

std::string power_of_ten(int exponent) {
    static constexpr std::array kNames = {"1 ns", "10 ns", "100 ns", "1 µs", "10 µs", "100 µs",
                                          "1 ms", "10 ms", "100 ms", "1 s",  "10 s",  "100 s"};
    return exponent >= 0 && exponent < static_cast<int>(kNames.size()) ? kNames[static_cast<size_t>(exponent)]
                                                                       : fmt::format("10^{} ns", exponent);
}

/// Both axes logarithmic, so that the tail is seen: which part of the wake-ups (y) came later than a time (x).
class Curves {
public:
    explicit Curves(const std::vector<WorkloadFigures>& all) : all_(all) {
        uint64_t shortest = UINT64_MAX, longest = 1, most = 1;
        for (const WorkloadFigures& one : all) {
            if (one.latencies.empty()) continue;
            shortest = std::min(shortest, std::max<uint64_t>(one.latencies.front().first, 1));
            longest = std::max(longest, one.max_ns);
            most = std::max(most, one.wakeups);
        }
        left_ = static_cast<int>(std::floor(std::log10(static_cast<double>(std::min(shortest, longest)))));
        right_ = std::max(left_ + 1, static_cast<int>(std::ceil(std::log10(static_cast<double>(longest)))));
        down_ = std::clamp(static_cast<int>(std::ceil(std::log10(static_cast<double>(most)))), 1, 5);
    }

    std::string draw() const {
        std::string out = label(kCurveLeft, kCurveTop - 12, "start", "Wake-ups that came later than …", kHeading);
        for (int e = left_; e <= right_; ++e) {
            out += line(x(std::pow(10, e)), kCurveTop, x(std::pow(10, e)), kCurveBottom, kGrid);
            out += label(x(std::pow(10, e)), kCurveBottom + 16, "middle", power_of_ten(e));
        }
        static constexpr std::array kParts = {"100 %", "10 %", "1 %", "0.1 %", "0.01 %", "0.001 %"};
        for (int e = 0; e <= down_; ++e) {
            out += line(kCurveLeft, y(std::pow(10, -e)), kCurveRight, y(std::pow(10, -e)), kGrid);
            out += label(kCurveLeft - 8, y(std::pow(10, -e)) + 4, "end", kParts[static_cast<size_t>(e)]);
        }
        for (size_t i = 0; i < all_.size(); ++i) out += curve(i);
        if (std::ranges::all_of(all_, [](const WorkloadFigures& one) { return one.latencies.empty(); }))
            out += label((kCurveLeft + kCurveRight) / 2, (kCurveTop + kCurveBottom) / 2, "middle", "nobody slept");
        return out;
    }

    static constexpr std::string_view kHeading = R"( font-weight="bold")";

private:
    static constexpr std::string_view kGrid = R"(stroke="#ddd" stroke-width="1")";

    double x(double nanoseconds) const {
        const double part = (std::log10(std::max(nanoseconds, 1.0)) - left_) / (right_ - left_);
        return kCurveLeft + std::clamp(part, 0.0, 1.0) * (kCurveRight - kCurveLeft);
    }
    double y(double part) const {
        const double depth = part <= 0 ? down_ : -std::log10(part);
        return kCurveTop + std::clamp(depth / down_, 0.0, 1.0) * (kCurveBottom - kCurveTop);
    }
    std::string curve(size_t index) const {
        const WorkloadFigures& one = all_[index];
        if (one.latencies.empty()) return {};
        std::string points = fmt::format("{:.1f},{:.1f}", x(std::pow(10, left_)), y(1));
        uint64_t later = one.wakeups;
        for (const auto& [end_ns, count] : one.latencies) {
            const double at = x(static_cast<double>(std::min(end_ns, one.max_ns)));
            const auto whole = static_cast<double>(one.wakeups);
            points += fmt::format(" {:.1f},{:.1f}", at, y(static_cast<double>(later) / whole));
            later -= std::min(later, count);
            points += fmt::format(" {:.1f},{:.1f}", at, y(static_cast<double>(later) / whole));
        }
        return fmt::format(R"(<polyline points="{}" fill="none" stroke="{}" stroke-width="2" stroke-linejoin="round"/>)"
                           "\n",
                           points, color(index));
    }

    const std::vector<WorkloadFigures>& all_;
    int left_, right_, down_;
};

/// One figure of all policies, as bars from zero.
std::string bars(double left, double width, std::string_view heading, const std::vector<WorkloadFigures>& all,
                 const std::function<double(const WorkloadFigures&)>& value,
                 const std::function<std::string(double)>& text) {
    double largest = 0;
    for (const WorkloadFigures& one : all) largest = std::max(largest, value(one));
    std::string out = label(left, kBarsTop - 10, "start", heading, Curves::kHeading);
    for (size_t i = 0; i < all.size(); ++i) {
        const double top = kBarsTop + kBarStep * static_cast<double>(i);
        const double number = value(all[i]);
        const double length = largest > 0 ? number / largest * (width - 60) : 0;
        out += fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" fill="{}"/>)"
                           "\n",
                           left, top, std::max(length, 0.5), kBarHeight, color(i));
        out += label(left + length + 5, top + kBarHeight - 3, "start", text(number));
    }
    return out;
}

std::string short_number(double value) {
    if (value >= 1e6) return fmt::format("{:.2f} M", value / 1e6);
    if (value >= 1e4) return fmt::format("{:.1f} k", value / 1e3);
    return value >= 100 || value == std::floor(value) ? fmt::format("{:.0f}", value) : fmt::format("{:.1f}", value);
}

}  // namespace

std::string workload_svg(std::string_view title, const std::vector<WorkloadFigures>& all) {
    const double height = kBarsTop + kBarStep * static_cast<double>(all.size()) + kMargin;
    std::string out = fmt::format(
        R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0:.0f}" height="{1:.0f}" viewBox="0 0 {0:.0f} {1:.0f}" )"
        R"(font-family="sans-serif" font-size="12" fill="#222">)"
        "\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n",
        kWidth, height);
    out += label(kMargin, 32, "start", title, R"( font-size="17" font-weight="bold")");
    out += Curves(all).draw();
    for (size_t i = 0; i < all.size(); ++i) {
        const double top = kCurveTop + 4 + kBarStep * static_cast<double>(i);
        out += fmt::format(R"(<rect x="{:.1f}" y="{:.1f}" width="14" height="14" fill="{}"/>)"
                           "\n",
                           kCurveRight + 20, top, color(i));
        out += label(kCurveRight + 40, top + 12, "start", all[i].name);
    }
    const double width = (kWidth - 2 * kMargin) / 5;
    const auto place = [&](int column) { return kMargin + width * column; };
    const auto three_places = [](double value) { return fmt::format("{:.3f}", value); };
    out +=
        bars(place(0), width, "Throughput (CPUs)", all, [](const auto& one) { return one.throughput; }, three_places);
    out += bars(place(1), width, "Fairness (Jain)", all, [](const auto& one) { return one.fairness; }, three_places);
    out += bars(
        place(2), width, "Switches a second", all, [](const auto& one) { return one.per_second(one.switches); },
        short_number);
    out += bars(
        place(3), width, "Migrations a second", all, [](const auto& one) { return one.per_second(one.migrations); },
        short_number);
    out += bars(
        place(4), width, "Missed periods", all, [](const auto& one) { return static_cast<double>(one.missed); },
        short_number);
    return out + "</svg>\n";
}

}  // namespace helix::tool

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A module hears the events to which it subscribed, by kind and by name, and no others.

#include "helix/module.hpp"

class Listener final : public helix::Module {
public:
    static constexpr auto kInfo = helix::ModuleInfo{"listener"}
                                      .version(1, 0, 0)
                                      .description("Counts the events that it hears")
                                      .license("MIT OR Apache-2.0")
                                      .flags(helix::ModuleFlags::Experimental);

    helix::Result<void> init(const helix::Context& context) override {
        context_ = &context;
        return {};
    }
    helix::Result<void> start() override {
        TRY(context_->subscribe(helix::EventKind::Tick));
        TRY(context_->subscribe(helix::EventKind::CpuHotplug));
        return context_->subscribe("note");
    }
    helix::Result<void> stop() override { return {}; }

    helix::EventResponse handle_event(const helix::Event& event) override {
        if (event.kind == helix::EventKind::Tick) {
            ++ticks_;
            return helix::EventResponse::handled();
        }
        if (event.kind == helix::EventKind::CpuHotplug) {
            ++(event.cpu_hotplug.online ? came_ : went_);
            cpus_ |= uint64_t{1} << event.cpu_hotplug.cpu_id;
            return helix::EventResponse::handled();
        }
        if (event.custom.name != "note") return helix::EventResponse::error("an event that nobody subscribed to");
        ++notes_;
        note_bytes_ += event.custom.data.size();
        const helix::Text text = helix::as_text(event.custom.data);
        int64_t sent_ns = 0;
        if (text.starts_with("at ") && helix::parse_integer(text.substr(3), sent_ns)) note_late(sent_ns);
        if (!text.empty()) context_->info("heard \"{}\"", text);
        return helix::EventResponse::handled();
    }

    /// `pace N`: sends N notes "at TIME", 200 ms apart; `late`: how late they came at most, in
    /// microseconds, not counting the first two. `heard`: counts of what was heard so far; `notes`, `ticks`: one of
    /// them, as a value. `send N`: sends N notes, each as soon as there is room; the first one has "N notes" as its
    /// data. `flood`: sends notes until no more can wait, none of which it hears before it has answered. `cpus`: how
    /// many CPUs went and came, and which, as bits.
    helix::Result<helix::Response> handle_request(const helix::Request& request) override {
        if (request.request_type == "cpus") {
            const auto cpus = helix::format("{{\"went\":{},\"came\":{},\"cpus\":{}}}", went_, came_, cpus_);
            return helix::Response::ok(cpus.text());
        }
        if (request.request_type == "notes") return helix::Response::ok_value(notes_);
        if (request.request_type == "ticks") return helix::Response::ok_value(ticks_);
        if (request.request_type == "send") return send(helix::as_text(request.payload));
        if (request.request_type == "pace") return pace(helix::as_text(request.payload));
        if (request.request_type == "late")
            return helix::Response::ok(
                helix::format("{{\"timed\":{},\"late_us\":{}}}", timed_, late_ns_ / 1000).text());
        if (request.request_type == "flood") {
            for (uint64_t sent = 0; sent < 1'000; ++sent)
                if (const auto queued = context_->emit("note", {}); !queued.ok())
                    return helix::Response::ok(helix::format("{} sent; {}", sent, queued.error().sentence()).text());
            return helix::Response::err("a thousand wait");
        }
        if (request.request_type != "heard") return helix::ErrorCode::NotImplemented;
        const auto answer =
            helix::format("{{\"ticked\":{},\"notes\":{},\"note_bytes\":{}}}", ticks_ > 0, notes_, note_bytes_);
        return helix::Response::ok(answer.text());
    }

private:
    helix::Result<helix::Response> send(helix::Text count) {
        int64_t wanted = 0;
        if (!helix::parse_integer(count, wanted)) return helix::Response::err("send how many?");
        auto data = helix::format("{} notes", wanted);
        while (wanted > 0) {
            const auto sent = context_->emit("note", helix::as_bytes(data.text()));
            if (sent.ok()) {
                --wanted;
                data = {};
            } else if (sent.error().code() == helix::ErrorCode::Busy) {
                TRY(context_->thread_sleep(1'000'000));
            } else {
                return sent.error();
            }
        }
        return helix::Response::ok_empty();
    }

    helix::Result<helix::Response> pace(helix::Text count) {
        int64_t wanted = 0;
        if (!helix::parse_integer(count, wanted)) return helix::Response::err("pace how many?");
        for (; wanted > 0; --wanted) {
            TRY(context_->emit("note", helix::as_bytes(helix::format("at {}", context_->now_ns()).text())));
            TRY(context_->thread_sleep(200'000'000));
        }
        return helix::Response::ok_empty();
    }
    void note_late(int64_t sent_ns) {
        const uint64_t late_ns = context_->now_ns() - static_cast<uint64_t>(sent_ns);
        if (++timed_ > 2 && late_ns > late_ns_) late_ns_ = late_ns;
    }

    const helix::Context* context_ = nullptr;
    uint64_t ticks_ = 0;
    uint64_t notes_ = 0;
    uint64_t note_bytes_ = 0;
    uint64_t timed_ = 0;
    uint64_t late_ns_ = 0;
    uint64_t went_ = 0;
    uint64_t came_ = 0;
    uint64_t cpus_ = 0;
};
HELIX_MODULE(Listener)

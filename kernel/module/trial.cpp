// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// Shadow trial: before a reload the new instance is asked what the old one is asked, and has to give the same answers.

#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"
#include "kernel/module/module_hold.hpp"
#include "kernel/module/module_system.hpp"
#include "kernel/module/tap.hpp"

#include <utility>

namespace helix::kernel {

namespace {
constexpr uint64_t kNextStateNs = 10'000'000;  // from a change of the state until it is taken again
constexpr Text kGone = "it failed or was replaced meanwhile";
}  // namespace

/// One trial, of the thread that asked for it. The shadow is an instance like any other, but in a place that nobody
/// finds; it gets the state of the one that serves whenever that has changed, and never takes its place.
class ModuleSystem::Trial {
public:
    Trial(ModuleSystem& system, const Wanted& wanted, TrialReport& report)
        : system_(system), wanted_(wanted), report_(report) {}
    Trial(const Trial&) = delete;
    Trial& operator=(const Trial&) = delete;

    /// Change lock held. Errors: what speaks against the reload, NotSupported, and the shadow's own.
    Result<void> begin(PhaseClock& clock);
    /// Compares as many calls as are wanted, on a thread like those of modules: what the shadow does costs who calls no
    /// more than their neighbour would. No lock held. Errors: TimedOut, Cancelled, InvalidState (the instance that
    /// serves is another now), ModuleFailed (the shadow failed), Incompatible (answers differ).
    Result<void> compare(const TrialTerms& terms);
    /// Once, whatever came of the rest; change lock held. Nothing stands before the instance that serves any more.
    void end();
    /// Whether the instance that was compared with serves. Change lock held.
    bool is_current() const;

private:
    Result<void> compare_all(const TrialTerms& terms);
    Result<void> take_state();
    Result<void> start_shadow(Bytes state);
    void drop_shadow();
    void stand_before(bool stand);
    Result<void> ask(TrialCall& call);
    Error differs() const;

    ModuleSystem& system_;
    const Wanted& wanted_;
    TrialReport& report_;
    Image* image_ = nullptr;
    FixedText<62> file_;
    ModuleRecord* record_ = nullptr;
    Instance* serving_ = nullptr;
    InstanceId serving_id_ = InstanceId::None;
    Tap* tap_ = nullptr;
    ModuleRecord* place_ = nullptr;  ///< of the shadow
    Instance* shadow_ = nullptr;
};

Result<void> ModuleSystem::Trial::begin(PhaseClock& clock) {
    system_.change_.assert_held();
    record_ = system_.find_record(wanted_.name);
    if (record_ == nullptr) return Error(ErrorCode::NotFound, format("no module {} is loaded", wanted_.name).text());
    report_.from = name_with_version(*record_->current);
    if (record_->slot_count != 0) report_.interface = record_->slots[0]->interface.name;
    if (record_->state() != ModuleState::Running)
        return Error(ErrorCode::InvalidState, "it does not run, so there is nothing to compare with");
    const Bytes bytes = TRY(system_.find_file(wanted_.file.empty() ? record_->file.text() : wanted_.file, file_));
    image_ = TRY(Image::create(system_.kernel_.memory, bytes, file_.text()));
    report_.to = name_with_version(record_->name(), image_->info().version());
    TRY(check_same_module(*record_, *image_, file_.text()));
    TRY(system_.check_reloadable(*record_, *image_));
    if (system_.ruled_by(*record_) != nullptr)
        return Error(ErrorCode::NotSupported, "it rules, and the kernel alone asks who rules");
    if (system_.trial_ != nullptr) return Error(ErrorCode::Busy, "another trial is under way");
    serving_ = record_->current;
    if (serving_->tap == nullptr) serving_->tap = TRY(Tap::create(*serving_));
    for (const Tap::Way& way : *serving_->tap)
        if (find_interface(image_->descriptor(), way.interface.text()) == nullptr)
            return Error(ErrorCode::NotSupported,
                         "the new one lacks an interface, so it cannot be asked as the old one");
    serving_id_ = serving_->id;
    tap_ = serving_->tap;
    tap_->watched = true;
    system_.trial_ = this;
    clock.enter(Phase::Trial);
    stand_before(true);  // first, so that no call is missed that changes the state from when it is taken on
    return take_state();
}

void ModuleSystem::Trial::end() {
    system_.change_.assert_held();
    drop_shadow();
    if (image_ != nullptr) image_->release();
    if (tap_ == nullptr) return;
    system_.trial_ = nullptr;
    report_.counts.skipped = tap_->skipped();
    tap_->close();
    if (is_current()) stand_before(false);
    tap_->watched = false;
    if (tap_->is_left()) Tap::destroy(tap_);
    tap_ = nullptr;
}

bool ModuleSystem::Trial::is_current() const {
    system_.change_.assert_held();
    const ModuleRecord* const record = system_.find_record(wanted_.name);
    return record != nullptr && record->current != nullptr && record->current->id == serving_id_;
}

/// The slots that lead to the instance lead to its tap, or to itself again. A slot that leads elsewhere was filled by
/// somebody else meanwhile.
void ModuleSystem::Trial::stand_before(bool stand) {
    MutexGuard guard(system_.registry_);
    const auto divert = [&](Slot& slot) {
        Tap::Way* const way = tap_->find(slot.target);
        if (way != nullptr && stand) slot.divert(&way->target);
        for (Tap::Way& own : *tap_)
            if (!stand && slot.target == &own.target) slot.divert(system_.target_of(*serving_, own.interface.text()));
    };
    for (uint32_t i = 0; i < record_->slot_count; ++i) {
        InterfaceRecord& interface = record_->slots[i]->interface;
        divert(*record_->slots[i]);
        if (interface.primary_record == record_) divert(*interface.primary);
    }
}

/// A new shadow with the state of the instance that serves; both are in the same epoch.
Result<void> ModuleSystem::Trial::take_state() {
    system_.change_.assert_held();
    drop_shadow();
    Buffer buffer = TRY(Buffer::create(kStateCapacity));
    Bytes state;
    uint64_t epoch = 0;
    {
        ModuleHold hold(*record_);
        TRY(hold.acquire(kHoldDeadlineNs));
        TRY(hold.park_threads(deadline_after(kHoldDeadlineNs)));
        // Bounded callers are not held: those who are counted by now have left when the state is saved, the others make
        // it stale.
        epoch = tap_->epoch();
        system_.kernel_.threads.cpus().wait_grace_period();
        TRY(system_.save_state_of(*serving_, buffer, state));
    }
    TRY(start_shadow(state));
    tap_->open(epoch);
    return {};
}

Result<void> ModuleSystem::Trial::start_shadow(Bytes state) {
    system_.change_.assert_held();
    Kernel& kernel = system_.kernel_;
    place_ = make<ModuleRecord>(kernel.heap, record_->name(), record_->link, file_.text());
    if (place_ == nullptr) return ErrorCode::OutOfMemory;
    place_->supervision = record_->supervision;
    TRY(system_.check_candidate(*record_, *image_));
    shadow_ = TRY(Instance::create(kernel, *place_, *image_));
    shadow_->on_trial = true;
    shadow_->refusing = {tap_->refusing(), token_of(shadow_)};
    shadow_->leaves = true;
    shadow_->tried_for = record_;
    TRY(shadow_->call_in_time<&Module::init>(shadow_->context));
    shadow_->become(ModuleState::Initialized);
    TRY(system_.restore_state_of(*shadow_, state, shadow_->info().state_format()));
    TRY(shadow_->call_in_time<&Module::start>());
    shadow_->become(ModuleState::Running);
    shadow_->tried_for = nullptr;
    return system_.check_health(*shadow_);
}

void ModuleSystem::Trial::drop_shadow() {
    system_.change_.assert_held();
    ModuleRecord* const place = std::exchange(place_, nullptr);
    if (place == nullptr) return;
    if (Instance* const shadow = std::exchange(shadow_, nullptr)) {
        if (shadow->state == ModuleState::Running) (void)shadow->call_in_time<&Module::stop>().ok();
        if (!system_.dispose(*shadow)) return;  // threads still know the place
    }
    {
        MutexGuard guard(system_.registry_);
        while (place->slot_count != 0) Slot::destroy(system_.kernel_, place->slots[--place->slot_count]);
        system_.interfaces_.prune(system_.kernel_);
    }
    system_.release_kept(*place);
    unmake(system_.kernel_.heap, place);
}

Result<void> ModuleSystem::Trial::compare(const TrialTerms& terms) {
    struct Work {
        Work(Trial& of, const TrialTerms& wanted) : trial(of), terms(wanted) {}
        Trial& trial;
        const TrialTerms& terms;
        Error error = ErrorCode::Cancelled;
        bool ok = false;
        Awaited<bool> ended;
    } work(*this, terms);
    const auto main = [](void* argument) {
        auto& its = *static_cast<Work*>(argument);
        const auto result = its.trial.compare_all(its.terms);
        its.ok = result.ok();
        if (!its.ok) its.error = result.error();
        its.ended.wake_all([](bool& ended) { ended = true; });
    };
    TRY(system_.kernel_.threads.create("trial", main, &work, {}));
    const auto has_ended = [](bool& ended) { return ended; };
    if (work.ended.wait_until(has_ended) == WakeReason::Cancelled) {
        tap_->cancel();
        work.ended.wait_until(has_ended, kForever, Cancellable::No);
    }
    if (work.ok) return {};
    return work.error;
}

Result<void> ModuleSystem::Trial::compare_all(const TrialTerms& terms) {
    const uint64_t deadline_ns = deadline_after(terms.timeout_ns);
    while (report_.counts.compared < terms.calls) {
        TrialCall* call = nullptr;
        switch (tap_->wait(deadline_ns, call)) {
            case Tap::News::Call: {
                const auto asked = ask(*call);
                tap_->done(*call);
                TRY(asked);
                break;
            }
            case Tap::News::Stale: {
                TRY(system_.kernel_.threads.sleep(kNextStateNs));
                MutexGuard guard(system_.change_);
                if (is_current()) {
                    TRY(take_state());
                    break;
                }
                [[fallthrough]];
            }
            case Tap::News::Gone: return Error(ErrorCode::InvalidState, kGone);
            case Tap::News::TimedOut:
                if (report_.counts.differing != 0) return differs();
                return Error(ErrorCode::TimedOut,
                             format("{} of {} calls came in time", report_.counts.compared, terms.calls).text());
            case Tap::News::Cancelled: return ErrorCode::Cancelled;
        }
    }
    if (report_.counts.differing != 0) return differs();
    return {};
}

/// What the shadow says to `call`.
Result<void> ModuleSystem::Trial::ask(TrialCall& call) {
    const SlotTarget* const target = system_.target_of(*shadow_, call.interface);
    TrialAnswer answer;
    bool read = false;
    GateFailure failure{};
    {
        const KernelCall timed(*shadow_, KernelCall::kFromFirstWait);
        failure = call.ask(*target, answer, read);
    }
    if (failure != GateFailure::None || shadow_->is_ended()) return shadow_->failed_error();
    if (!read) return Error(ErrorCode::ModuleFailed, "an answer of the new instance cannot be read");
    ++report_.counts.compared;
    if (answer == call.answer) return {};
    ++report_.counts.differing;
    FixedText<94> method(call.interface);
    method.append('.');
    method.append(call.shape->name);
    const TrialDifference difference = {method, call.describe_arguments(), call.describe(call.answer),
                                        call.describe(answer)};
    for (uint32_t i = 0; i < report_.shown; ++i) {
        const TrialDifference& known = report_.differences[i];
        if (known.method == method.text() && known.arguments == difference.arguments.text()) return {};
    }
    if (report_.shown < TrialReport::kShown) report_.differences[report_.shown++] = difference;
    return {};
}

Error ModuleSystem::Trial::differs() const {
    const TrialDifference& first = report_.differences[0];
    auto sentence = format("{} of {} answers differ: ", report_.counts.differing, report_.counts.compared);
    for (const Text part : {first.method.text(), Text("("), first.arguments.text(), Text(") gave "),
                            first.serving.text(), Text(", and "), first.shadow.text(), Text(" of the new instance")})
        sentence.append(part);
    return Error(ErrorCode::Incompatible, sentence.text());
}

Result<uint64_t> ModuleSystem::reload_after_trial(const Wanted& wanted, const TrialTerms& terms) {
    TrialReport report;
    report.counts.wanted = terms.calls;
    HistoryRecord entry;
    PhaseClock clock(kernel_.threads, entry);
    Trial trial(*this, wanted, report);
    Result<void> agreed;
    {
        MutexGuard guard(change_);
        look_after_failed();
        agreed = trial.begin(clock);
    }
    const bool began = agreed.ok();
    if (began) agreed = trial.compare(terms);
    MutexGuard guard(change_);
    look_after_failed();  // what the shadow did is said first
    trial.end();
    if (agreed.ok() && !trial.is_current()) agreed = Error(ErrorCode::InvalidState, kGone);
    if (!report.to.empty()) {
        MutexGuard registry(registry_);
        last_trial_ = report;
    }
    if (began && !agreed.ok())
        agreed =
            Error(agreed.error().code(), format("the trial changed nothing: {}", agreed.error().sentence()).text());
    if (agreed.ok()) return replace(Span<const Wanted>(&wanted, 1), report.counts);
    if (report.from.empty()) return agreed.error();
    entry.from = report.from;
    entry.to = report.to;
    entry.interface = report.interface;
    entry.trial = report.counts;
    const Error error = naming(wanted.name, agreed.error());
    clock.stop();
    (void)store(clock, error);
    return error;
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// A scheduler in the shadow of the ruling one: mirrored as for a swap, asked whom it would pick, and let go again.
//
// The change lock is held while the trial begins and while it ends, not in between: modules fail and return meanwhile,
// and another policy may have to rule, which ends the trial.

#include "kernel/duration.hpp"
#include "kernel/kernel.hpp"
#include "kernel/module/module_system.hpp"

#include <utility>

namespace helix::kernel {

/// Another instance of the module that rules, which runs.
Result<Instance*> ModuleSystem::make_extra(ModuleRecord& ruling, Image& image) {
    Unrecorded unrecorded(kernel_.threads);
    Instance* const made = TRY(make_candidate(ruling, image, unrecorded.clock));
    const auto started = made->call_in_time<&Module::start>();
    if (!started.ok()) {
        dispose(*made);
        return started.error();
    }
    made->become(ModuleState::Running);
    return made;
}

/// The candidate is `name`: a module that runs, one that is loaded, or another instance of the one that rules. An error
/// leaves nothing mirrored, and of what was made for the trial only a record that was loaded.
Result<void> ModuleSystem::begin_scheduler_trial(InterfaceRecord& interface, Text name, ShadowReport& report,
                                                 ModuleRecord*& loaded) {
    if (interface.name != InterfaceTraits<Scheduler>::kId.name)
        return Error(ErrorCode::NotSupported, "only schedulers can be tried in the shadow of another");
    PolicySlot& policy = kernel_.threads.policy();
    ModuleRecord* const ruling = interface.primary_record;
    if (ruling == nullptr || policy.ruling_failed())
        return Error(ErrorCode::InvalidState, format("nobody rules {}", interface.name.text()).text());
    report.ruling = name_with_version(*ruling->current);
    TRY(check_no_canary());
    TRY(check_no_policy_on_probation());
    if (policy.has_mirror()) return Error(ErrorCode::Busy, "another policy is on trial");

    Unrecorded unrecorded(kernel_.threads);
    ModuleRecord* record = find_record(name);
    Instance* extra = nullptr;
    if (record == ruling) {
        extra = TRY(make_extra(*ruling, *ruling->current->image));
    } else if (record == nullptr) {
        FixedText<62> full_name;
        const auto bytes = find_file(name, full_name);
        if (!bytes.ok()) return Error(ErrorCode::NotFound, format("no module and no file {}", name).text());
        Image* const image = TRY(Image::create(kernel_.memory, bytes.value(), full_name.text()));
        const bool is_of_ruling = image->info().name() == ruling->name();
        const Result<Instance*> made = is_of_ruling ? make_extra(*ruling, *image) : Result<Instance*>(nullptr);
        image->release();
        if (!made.ok()) return made.error();
        extra = made.value();
        if (extra == nullptr) record = loaded = TRY(load_record(name, {}, Link::Dynamic, unrecorded.clock));
    }
    Instance& candidate = extra != nullptr ? *extra : *record->current;
    if (candidate.state != ModuleState::Running)
        return Error(ErrorCode::InvalidState, format("{} is not running", name).text());
    if (target_of(candidate, interface.name.text()) == nullptr) {
        if (extra != nullptr) retire_replaced(*extra);
        return Error(ErrorCode::InvalidArgument,
                     format("{} does not implement {}", name, interface.name.text()).text());
    }
    report.shadow = name_with_version(candidate);
    scheduler_trial_.instance = &candidate;
    scheduler_trial_.is_extra = extra != nullptr;
    scheduler_trial_.why = {};
    scheduler_trial_.ended = trials_ended();
    if (const auto prepared = prepare_scheduler(candidate, unrecorded.clock); !prepared.ok()) {
        end_scheduler_trial({});
        return prepared;
    }
    policy.compare_in(report.compared);
    return {};
}

/// The policy that is on trial, if any is, is mirrored no more, and who waits is told `why`. An instance that was made
/// for the trial goes.
void ModuleSystem::end_scheduler_trial(Text why) {
    Instance* const instance = std::exchange(scheduler_trial_.instance, nullptr);
    if (instance == nullptr) return;
    kernel_.threads.policy().drop_mirror();
    scheduler_trial_.why.assign(why);
    if (scheduler_trial_.is_extra && instance->is_ended()) {
        instance->become(ModuleState::Failed);
        dispose(*instance);
    } else if (scheduler_trial_.is_extra) {
        retire_replaced(*instance);
    }
    announce_trial_over();
}

void ModuleSystem::announce_trial_over() {
    trials_ended_.wake_all([](uint64_t& ended) { ++ended; });
}

/// The policy that is on trial has failed. Nobody waits for it: it is not restarted.
void ModuleSystem::end_failed_scheduler_trial(Text why) {
    Instance& instance = *scheduler_trial_.instance;
    ModuleRecord& record = instance.record;
    history_.add(record_of_failure(instance, why, arch::now_ns()));
    const bool is_extra = scheduler_trial_.is_extra;
    end_scheduler_trial(why);
    if (is_extra)
        record.open_after_failed();
    else
        retire_failed(record);
}

WakeReason ModuleSystem::wait_for_trial(uint64_t ended, uint64_t duration_ns, ProgressFunction progress,
                                        void* context) {
    constexpr uint64_t kProgressNs = 1'000'000'000;
    const uint64_t begun_ns = arch::now_ns();
    const uint64_t deadline_ns = deadline_after(duration_ns);
    for (;;) {
        const uint64_t next_ns = deadline_after(kProgressNs);
        const WakeReason woken = trials_ended_.wait_until([&](uint64_t now) { return now != ended; },
                                                          next_ns < deadline_ns ? next_ns : deadline_ns);
        if (woken != WakeReason::TimedOut || arch::now_ns() >= deadline_ns) return woken;
        if (progress != nullptr) progress(context, arch::now_ns() - begun_ns);
    }
}

Result<void> ModuleSystem::shadow(Text interface_name, Text name, uint64_t duration_ns, ShadowReport& report,
                                  ProgressFunction progress, void* context) {
    FixedText<46> loaded;  // the module that was, and its instance
    InstanceId instance = InstanceId::None;
    uint64_t ended = 0;
    Result<void> result;
    {
        MutexGuard guard(change_);
        look_after_failed();
        InterfaceRecord* const interface = TRY(find_interface_record(interface_name));
        ModuleRecord* record = nullptr;
        result = begin_scheduler_trial(*interface, name, report, record);
        if (!result.ok()) result = naming(name, result.error());
        if (record != nullptr) {
            loaded.assign(record->name());
            instance = record->current->id;
        }
        ended = scheduler_trial_.ended;
    }
    const uint64_t begun_ns = arch::now_ns();
    if (result.ok()) (void)wait_for_trial(ended, duration_ns, progress, context);
    report.ran_ns = arch::now_ns() - begun_ns;
    MutexGuard guard(change_);
    if (result.ok()) {
        look_after_failed();
        if (scheduler_trial_.instance != nullptr) {
            const auto fit = check_mirror(*scheduler_trial_.instance);
            if (!fit.ok())
                result = Error(fit.error().code(),
                               format("{} would not be swapped in: {}", name, fit.error().sentence()).text());
            look_after_failed();
            end_scheduler_trial({});
        }
        if (!scheduler_trial_.why.empty())
            result = Error(
                ErrorCode::ModuleFailed,
                format("{}; the trial ended after {}", scheduler_trial_.why, describe_duration(report.ran_ns)).text());
    }
    ModuleRecord* const record = find_record(loaded.text());
    if (record == nullptr || record->current->id != instance || !check_removable(*record).ok()) return result;
    const auto removed = remove_record(*record);
    return result.ok() ? removed : result;
}

}  // namespace helix::kernel

// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// ModuleSystem: boot, load and look-up. What others see of a module is in publishing.cpp, calls are in calls.cpp,
// reloads in transaction.cpp, unloading in unload.cpp.

#include "kernel/module/module_system.hpp"

#include "kernel/kernel.hpp"
#include "kernel/memory/make.hpp"
#include "kernel/module/options.hpp"
#include "kernel/module/text_rules.hpp"

#include <utility>

namespace helix::kernel {

namespace {

Error with_name(Text name, const Error& error) {
    return Error(error.code(), format("{}: {}", name, error.sentence()).text());
}

}  // namespace

ModuleSystem::ModuleSystem(Kernel& kernel)
    : kernel_(kernel), bundle_(kernel.boot.bundle), initrd_(kernel.boot.initrd), kernel_ledger_(kernel.heap) {}

Result<void> ModuleSystem::init() {
    bundle_files_.build(kernel_.heap);
    initrd_files_.build(kernel_.heap);
    TRY(semaphores_.init(kernel_.memory));
    TRY(events_.init(kernel_));
    TRY(kernel_.threads.create("supervisor", supervisor_main, this, {.kind = ThreadClass::Kernel}));
    TRY(kernel_.threads.create("health", health_main, this, {.priority = 24}));
    return start_call_watch();
}

Result<void> ModuleSystem::boot_modules() {
    MutexGuard guard(change_);
    for (Text name : kernel_.profile.words("modules.static")) {
        Unrecorded unrecorded(kernel_.threads);
        auto record = load_record(name, {}, Link::Static, unrecorded.clock);
        const Result<void> plugged = record.ok() ? plug_in_primaries(*record.value()) : Result<void>(record.error());
        if (!plugged.ok()) TRY(check_boot_failure(name, naming(name, plugged.error())));
    }
    for (Text name : kernel_.profile.words("boot.load")) {
        Unrecorded unrecorded(kernel_.threads);
        TRY(load_record(name, {}, Link::Dynamic, unrecorded.clock));
    }
    return {};
}

/// A static module was not reached: that is said, and the rest comes up without it, unless it is essential.
Result<void> ModuleSystem::check_boot_failure(Text name, const Error& error) {
    FixedText<62> full_name;
    const Bytes bytes = TRY(find_file(module_of(name), full_name));
    Image* const image = TRY(Image::create(kernel_.memory, bytes, full_name.text()));
    const bool essential = has(image->info().flags(), ModuleFlags::Essential);
    NotStarted* const left_out = essential ? nullptr : make<NotStarted>(kernel_.heap);
    if (left_out != nullptr) {  // else it is in the log alone
        left_out->info = image->info();
        left_out->name.assign(name);
        left_out->file.assign(full_name.text());
        left_out->reason = error;
        MutexGuard guard(registry_);
        not_started_.push_back(*left_out);
    }
    image->release();
    if (essential) return error;
    kernel_.log.error("kernel", "not started: {}", error.sentence());
    return {};
}

/// Makes `record` primary where the profile wants it, and wherever an allocator is still missing.
Result<void> ModuleSystem::plug_in_primaries(ModuleRecord& record) {
    for (uint32_t i = 0; i < record.slot_count; ++i) {
        InterfaceRecord& interface = record.slots[i]->interface;
        const Text wanted = kernel_.profile.value(format<100>("primary.{}", interface.name.text()).text());
        const bool first_allocator =
            interface.name == InterfaceTraits<Allocator>::kId.name && interface.primary_record == nullptr;
        if (wanted != record.name() && !first_allocator) continue;
        if (interface.primary_record == &record) continue;
        Unrecorded unrecorded(kernel_.threads);  // nothing was replaced while it served
        TRY(swap_primary(interface, record, unrecorded.clock));
        set_choice(interface, &record);
    }
    return {};
}

void ModuleSystem::stop_all() {
    MutexGuard guard(change_);
    end_canary("the system stops");
    for (Probation& probation : probations_)
        if (probation.active) end_probation(probation);
    // The policies come last and stay plugged in: threads run until the very end.
    for (;;) {
        ModuleRecord* last = nullptr;
        for_each([&](ModuleRecord& record) {
            if (record.state() == ModuleState::Running) last = &record;
        });
        if (last == nullptr) break;
        if (last->call_lock.lock_for(kCallWaitNs)) {
            auto stopped = last->current->call_in_time<&Module::stop>();
            if (!stopped.ok())
                kernel_.log.warning("kernel", "{} did not stop: {}", last->name(), stopped.error().sentence());
            last->call_lock.unlock();
        }
        last->current->become(last->current->is_ended() ? ModuleState::Failed : ModuleState::Stopped);
    }
    for_each([](ModuleRecord& record) {  // nobody comes back any more
        if (record.state() == ModuleState::Restarting) record.current->become(ModuleState::Failed);
    });
}

// ---- Look-up.

ModuleRecord* ModuleSystem::find_record(Text name) {
    MutexGuard guard(registry_);
    return names_.find(name);
}

RecordPin ModuleSystem::find(Text name) {
    RecordPin pin(unpinned_);
    MutexGuard guard(registry_);
    if (ModuleRecord* const record = names_.find(name)) pin.take(*record);
    return pin;
}

Result<Bytes> ModuleSystem::find_file(Text name, FixedText<62>& full_name) const {
    for (const Text ending : {Text(""), Text(".hmod")}) {
        full_name.assign(name);
        if (!full_name.append(ending)) break;
        for (const FileIndex* files : {&initrd_files_, &bundle_files_}) {
            auto found = files->find(full_name.text());
            if (found.ok()) return found.value();
        }
    }
    return Error(ErrorCode::NotFound,
                 format("no file {} in the initrd or the bundle; `files` lists them", name).text());
}

Result<Text> ModuleSystem::config(ModuleRecord& record, const ModuleDescriptor& descriptor, Text key) const {
    const auto own = format<120>("module.{}.{}", record.name(), key);
    if (kernel_.profile.has(own.text())) return kernel_.profile.value(own.text());
    for (const InterfaceEntry& interface : descriptor.interfaces()) {
        const auto shared = format<120>("interface.{}.{}", interface.name.text(), key);
        if (kernel_.profile.has(shared.text())) return kernel_.profile.value(shared.text());
    }
    for (const Option& option : descriptor.options())
        if (option.key == key) return option.default_value.text();
    return Error(ErrorCode::NotFound, format("{} has no option {}", record.name(), key).text());
}

const SlotTarget* ModuleSystem::target_of(Instance& instance, const InterfaceRecord& interface) const {
    const InterfaceEntry* const entry = find_interface(*instance.descriptor, interface.name.text());
    return entry == nullptr || entry->major != interface.major ? nullptr : target_of(instance, interface.name.text());
}

const SlotTarget* ModuleSystem::target_of(Instance& instance, Text interface) const {
    const Span<const InterfaceEntry> interfaces = instance.descriptor->interfaces();
    for (size_t i = 0; i < interfaces.size() && i < ModuleRecord::kMaximumInterfaces; ++i)
        if (is_same_name(interfaces[i].name.text(), interface)) return &instance.targets[i];
    return nullptr;
}

// ---- Loading.

Result<void> ModuleSystem::check_options(ModuleRecord& record, const ModuleDescriptor& descriptor) {
    for (const Option& option : descriptor.options()) {
        const Text value = TRY(config(record, descriptor, option.key.text()));
        TRY(check_option(option, value));
    }
    return {};
}

Result<void> ModuleSystem::check_candidate(ModuleRecord& record, const Image& image) {
    TRY(check_dependencies(image.info()));
    TRY(check_conflicts(record, image.info()));
    TRY(check_options(record, image.descriptor()));
    if (has(image.info().flags(), ModuleFlags::Userspace))
        return Error(ErrorCode::NotSupported, "modules in ring 3 are not supported yet");
    for (const InterfaceEntry& interface : image.descriptor().interfaces()) {
        for (const InterfaceId& known : {InterfaceTraits<Scheduler>::kId, InterfaceTraits<Allocator>::kId}) {
            if (interface.name != known.name) continue;
            if (interface.major != known.major || interface.minor < known.minor)
                return Error(ErrorCode::Incompatible,
                             format("it implements {} {}.{}, this kernel wants {}.{}", known.name, interface.major,
                                    interface.minor, known.major, known.minor)
                                 .text());
        }
    }
    MutexGuard guard(registry_);
    interfaces_.prune(kernel_);
    return interfaces_.check_majors(image.descriptor(), changing_);
}

/// A new instance of `image` for `record`, constructed and initialised but not started.
Result<Instance*> ModuleSystem::make_candidate(ModuleRecord& record, Image& image, PhaseClock& clock) {
    clock.enter(Phase::Prepare);
    TRY(check_candidate(record, image));
    Instance* const instance = TRY(Instance::create(kernel_, record, image));
    if (image.info().conflicts().size() != 0) conflicting_.push_back(*instance);
    instance->replaces = changing_ != nullptr;  // nobody else knows it yet
    // Every allocator may take heap pages, whether it serves the kernel or is only being tried.
    if (const SlotTarget* const target = target_of(*instance, InterfaceTraits<Allocator>::kId.name)) {
        auto owner = kernel_.heap.attach(static_cast<Allocator*>(target->implementation), token_of(instance));
        if (!owner.ok()) {
            Instance::destroy(instance);
            return owner.error();
        }
        instance->heap_owner = owner.value();
    }
    clock.enter(Phase::Init);
    auto initialised = instance->call_in_time<&Module::init>(instance->context);
    if (!initialised.ok()) {
        dispose(*instance);
        return initialised.error();
    }
    instance->become(ModuleState::Initialized);
    return instance;
}

Text ModuleSystem::module_of(Text name) const {
    return kernel_.profile.value(format<100>("module.{}.instance_of", name).text(), name);
}

Result<ModuleRecord*> ModuleSystem::prepare_record(Text file, Text as, Link link, PhaseClock& clock) {
    FixedText<62> full_name;
    const Text module = module_of(file);
    if (as.empty() && module != file) as = file;
    const Bytes bytes = TRY(find_file(module, full_name));
    clock.enter(Phase::Prepare);
    Image* const image = TRY(Image::create(kernel_.memory, bytes, full_name.text()));
    const Text name = as.empty() ? image->info().name() : as;
    clock.entry().to = name_with_version(name, image->info().version());
    if (find_record(name) != nullptr) {
        const auto sentence =
            format("{}: a module {} is loaded already; use reload to replace it, or load it as another",
                   full_name.text(), name);
        image->release();
        return Error(ErrorCode::AlreadyExists, sentence.text());
    }
    auto* const record = make<ModuleRecord>(kernel_.heap, name, link, full_name.text());
    if (record == nullptr) {
        image->release();
        return ErrorCode::OutOfMemory;
    }
    record->supervision = Supervision::of(kernel_.profile, name);
    auto candidate = make_candidate(*record, *image, clock);
    image->release();
    if (!candidate.ok()) {
        const Error error = with_name(full_name.text(), candidate.error());
        unmake(kernel_.heap, record);
        return error;
    }
    record->current = candidate.value();
    return record;
}

Result<void> ModuleSystem::start_record(ModuleRecord& record) {
    Instance& instance = *record.current;
    record.hearing.newest = events_.newest();
    auto started = instance.call_in_time<&Module::start>();
    if (started.ok()) {
        instance.become(ModuleState::Running);
        record.generation = 1;
        started = publish(record);
        if (!started.ok() && instance.call_in_time<&Module::stop>().ok()) instance.become(ModuleState::Stopped);
    }
    if (!started.ok()) return with_name(record.file.text(), started.error());
    plan_looks();
    return {};
}

void ModuleSystem::discard_record(ModuleRecord& record) {
    Instance* const instance = std::exchange(record.current, nullptr);
    lines_.release_all(record);
    if (!dispose(*instance)) return;  // threads still know the record
    release_kept(record);
    unmake(kernel_.heap, &record);
}

Result<ModuleRecord*> ModuleSystem::load_record(Text file, Text as, Link link, PhaseClock& clock) {
    ModuleRecord* const record = TRY(prepare_record(file, as, link, clock));
    auto started = start_record(*record);
    if (started.ok()) return record;
    discard_record(*record);
    return started.error();
}

Result<void> ModuleSystem::load(Text file, Text as, FixedText<46>* name) {
    if (!as.empty() && (!is_valid_name(as) || as.size() > FixedText<46>::capacity()))
        return Error(ErrorCode::InvalidArgument, "a name has letters, digits, '.', '_' and '-', 46 at most");
    MutexGuard guard(change_);
    HistoryRecord entry;
    PhaseClock clock(kernel_.threads, entry);
    entry.to.assign(file.substr(0, entry.to.capacity()));
    const auto loaded = load_record(file, as, Link::Dynamic, clock);
    const Result<void> result = loaded.ok() ? Result<void>() : naming(file, loaded.error());
    clock.stop();
    if (result.ok()) {
        entry.result = TransactionResult::Committed;
        entry.phase = Phase::Serving;
    }
    (void)store(clock, result);
    if (result.ok() && name != nullptr) name->assign(loaded.value()->name());
    return result;
}

// ---- Going away.

bool ModuleSystem::expel(Instance& instance) {
    __atomic_store_n(&instance.ended, 1, __ATOMIC_RELEASE);
    kernel_.threads.cancel_threads_of(instance);
    return kernel_.threads.wait_threads_of(instance, kLeaveWaitNs).ok();
}

bool ModuleSystem::dispose(Instance& instance) {
    if (expel(instance)) {
        Instance::destroy(&instance);
        return true;
    }
    kernel_.log.error("kernel", "{}: threads are still inside; its memory stays", instance.name());
    return false;
}

void ModuleSystem::report_leaks(Instance& instance) {
    const LedgerTotals left = instance.totals();
    if (left.empty()) return;
    kernel_.log.warning("kernel", "{} stopped, but leaked {} in {}, {}, {}, {}, {}, {}, {}", instance.name(),
                        counted(left.bytes, "byte"), counted(left.blocks, "block"), counted(left.threads, "thread"),
                        counted(left.semaphores, "semaphore"), counted(left.handles, "handle"),
                        counted(left.requests, "pending request"), counted(left.timers, "timer"),
                        counted(left.lines, "interrupt line"));
    LedgerSite sites[4];
    const size_t count = instance.ledger.sites(sites);
    for (size_t i = 0; i < count; ++i)
        kernel_.log.warning("kernel", "{}: {} in {} from {}", instance.name(), counted(sites[i].bytes, "byte"),
                            counted(sites[i].blocks, "block"),
                            instance.mapping->describe(instance.mapping->base() + sites[i].site));
}

void ModuleSystem::release_kept(ModuleRecord& record) {
    while (!record.kept.empty()) {
        KeptRegion& region = record.kept.front();
        record.kept.pop_front();
        kernel_.heap.free(region.memory);
        unmake(kernel_.heap, &region);
    }
}

/// What more there is to say of a module that is not loaded.
Text ModuleSystem::why_absent(Text name) {
    Text why;
    for_each_not_started([&](const NotStarted& left_out) {
        if (left_out.name == name) why = ": it was not started at boot; load tries again";
    });
    if (!why.empty() || name.empty()) return why;
    const auto is_named = [&](Text with_version) {
        return with_version.starts_with(name) &&
               (with_version.size() == name.size() || with_version[name.size()] == ' ');
    };
    HistoryRecord entry;
    for (uint64_t id = 0; history_.next(id, entry); id = entry.id) {
        const bool was_there = entry.result != TransactionResult::Refused || is_named(entry.from.text());
        if (is_named(entry.from.text()) || is_named(entry.to.text()))
            why = was_there ? Text(" any more; history says why") : Text("; history says why");
    }
    return why;
}

}  // namespace helix::kernel

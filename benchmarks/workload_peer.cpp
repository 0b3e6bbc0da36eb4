// SPDX-FileCopyrightText: Helix contributors
// SPDX-License-Identifier: MIT OR Apache-2.0
// helix-workload-peer FILE CPUS STEPS-IN-A-MILLISECOND: runs a workload file on pthreads of the host, on its first
// CPUS CPUs; 0 steps: measures how many there are.
#include "pthread_workload.hpp"

#include <fstream>
#include <iterator>

namespace {

/// Takes the first `count` CPUs of those that this process may use; fewer if there are no more.
bool use_cpus(unsigned long count) {
    cpu_set_t allowed, wanted;
    CPU_ZERO(&wanted);
    if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return false;
    for (int cpu = 0; cpu < CPU_SETSIZE && static_cast<unsigned long>(CPU_COUNT(&wanted)) < count; ++cpu)
        if (CPU_ISSET(cpu, &allowed)) CPU_SET(cpu, &wanted);
    // A set that is not narrower stays as it is: reservations are granted only to who may use all.
    return CPU_EQUAL(&wanted, &allowed) || sched_setaffinity(0, sizeof(wanted), &wanted) == 0;
}

}  // namespace

int main(int argument_count, char** arguments) {
    if (argument_count != 4) {
        fprintf(stderr, "usage: helix-workload-peer FILE CPUS STEPS-IN-A-MILLISECOND\n");
        return 2;
    }
    std::ifstream file(arguments[1], std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    if (!file) {
        fprintf(stderr, "%s cannot be read\n", arguments[1]);
        return 1;
    }
    if (!use_cpus(strtoul(arguments[2], nullptr, 10))) {
        fprintf(stderr, "the CPUs cannot be chosen\n");
        return 1;
    }
    return helix::benchmark::run_workload(content, strtoull(arguments[3], nullptr, 10), 600'000'000'000) ? 0 : 1;
}

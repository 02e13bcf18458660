#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <lovage/app/app_core.hpp>
#include <lovage/awaitable.hpp>

namespace lovage {

/// What the state store says about revoked tasks. Belongs to the worker's loop.
class Revocations {
public:
    explicit Revocations(AppCore& core) : core_{core} {}

    /// How each of the tasks is revoked, in their order; an empty id is no task. Few are asked for
    /// at once; of many, whether anything at all is revoked comes first. When the store does not
    /// answer within 5 s nothing counts as revoked: running a revoked task is the lesser evil
    /// beside not running accepted ones. Lifetime: `*this` must outlive the returned Awaitable.
    [[nodiscard]] Awaitable<std::vector<Revocation>> look_up(std::vector<std::string> task_ids);

    /// The signal that a revocation with `terminate` asks for; SIGTERM when the store does not
    /// answer within 5 s. Lifetime: as above.
    [[nodiscard]] Awaitable<int> signal_of(std::string task_id);

private:
    AppCore& core_;
};

}  // namespace lovage

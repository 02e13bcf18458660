#pragma once

#include <string>
#include <vector>

#include <lovage/app/client.hpp>
#include <lovage/awaitable.hpp>
#include <lovage/core/error.hpp>
#include <lovage/runtime/deadline.hpp>

namespace lovage::control {

/// Which revocations are not stored.
struct Unstored {
    std::vector<std::string> task_ids;  ///< In the order given; empty: all are stored.
    Error why;                          ///< Of the first that failed.
};

/// Stores the wish that these tasks do not start, some hundred at a time, for as long as the
/// deadline allows. One that cannot be stored keeps none of the others from it.
/// Cancellation: it goes on to its deadline. Lifetime: `client` must outlive the returned
/// Awaitable.
[[nodiscard]] Awaitable<Unstored> store_revocations(Client* client,
                                                    std::vector<std::string> task_ids,
                                                    RevokeOptions options, Deadline deadline);

}  // namespace lovage::control

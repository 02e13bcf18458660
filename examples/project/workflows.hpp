#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <boost/multiprecision/cpp_int.hpp>

#include <lovage/app/app.hpp>

namespace project {

/// A canvas whose tasks have their ids already: whoever sends it can name all of them afterwards,
/// to revoke or to forget them.
template <class Canvas>
struct Workflow {
    Canvas canvas;
    std::vector<std::string> task_ids;  ///< The last one is where a single result will be.
};

/// The original's three workflows, of tasks that the worker on `queue` has.
class Workflows {
public:
    using Integer = boost::multiprecision::cpp_int;

    /// Lifetime: `app` must outlive it.
    Workflows(const lovage::App& app, std::string queue) : app_{app}, queue_{std::move(queue)} {}

    /// `integer` doubled, and doubled `more` times again.
    [[nodiscard]] Workflow<lovage::Canvas<>> chain(const Integer& integer, std::int64_t more) const;
    /// `integer` doubled `members` times, side by side; there may be none.
    [[nodiscard]] Workflow<lovage::Group<>> group(const Integer& integer,
                                                  std::int64_t members) const;
    /// The same, then the sum of it.
    [[nodiscard]] Workflow<lovage::Canvas<>> chord(const Integer& integer,
                                                   std::int64_t members) const;

private:
    /// With a queue and an id of its own, which is added to `ids`.
    [[nodiscard]] lovage::Canvas<> named(const lovage::Canvas<>& call,
                                         std::vector<std::string>& ids) const;

    const lovage::App& app_;
    std::string queue_;
};

}  // namespace project

#include "workflows.hpp"

#include <utility>

#include <lovage/core/compose.hpp>
#include <lovage/core/convert_cpp_int.hpp>
#include <lovage/core/uuid.hpp>

namespace project {

namespace {
constexpr const char* kDouble = "integer-multiplication";
constexpr const char* kSum = "integers-sum";
}  // namespace

lovage::Canvas<> Workflows::named(const lovage::Canvas<>& call,
                                  std::vector<std::string>& ids) const {
    ids.push_back(lovage::uuid4());
    return call.set({.queue = queue_, .task_id = ids.back()});
}

Workflow<lovage::Canvas<>> Workflows::chain(const Integer& integer, std::int64_t more) const {
    std::vector<std::string> ids;
    std::vector<lovage::Canvas<>> steps{named(app_.signature(kDouble, integer), ids)};
    for (std::int64_t i = 0; i < more; ++i) steps.push_back(named(app_.signature(kDouble), ids));
    return {lovage::chain(steps), std::move(ids)};
}

Workflow<lovage::Group<>> Workflows::group(const Integer& integer, std::int64_t members) const {
    std::vector<std::string> ids;
    std::vector<lovage::Signature> calls;
    for (std::int64_t i = 0; i < members; ++i) {
        calls.push_back(named(app_.signature(kDouble, integer), ids).signature());
    }
    return {lovage::Group<>{app_.core(), lovage::make_group(calls)}, std::move(ids)};
}

Workflow<lovage::Canvas<>> Workflows::chord(const Integer& integer, std::int64_t members) const {
    auto [header, ids] = group(integer, members);
    const auto body = named(app_.signature(kSum), ids);
    return {lovage::chord(header, body), std::move(ids)};
}

}  // namespace project

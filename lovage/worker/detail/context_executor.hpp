#pragma once

#include <memory>
#include <type_traits>
#include <utility>

#include <lovage/core/task_context.hpp>

#include <boost/asio/io_context.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/require.hpp>

namespace lovage::detail {

/// An executor of `Inner`'s loop that makes a TaskContext the current one while anything runs on
/// it. Coroutines of many tasks share a thread; each gets its own context back at every resumption.
///
/// Built like boost::asio::strand: every property is the inner executor's.
template <class Inner>
class ContextExecutor {
public:
    ContextExecutor(Inner inner, std::shared_ptr<TaskContext> context) noexcept
        : inner_{std::move(inner)}, context_{std::move(context)} {}

    template <class Property>
        requires boost::asio::can_query_v<const Inner&, Property>
    [[nodiscard]] decltype(auto) query(const Property& property) const {
        return boost::asio::query(inner_, property);
    }
    template <class Property>
        requires boost::asio::can_require_v<const Inner&, Property>
    [[nodiscard]] auto require(const Property& property) const {
        return with(boost::asio::require(inner_, property));
    }
    template <class Property>
        requires boost::asio::can_prefer_v<const Inner&, Property>
    [[nodiscard]] auto prefer(const Property& property) const {
        return with(boost::asio::prefer(inner_, property));
    }

    template <class Function>
    void execute(Function&& function) const {
        std::decay_t<Function> run{std::forward<Function>(function)};
        inner_.execute([context = context_, run = std::move(run)]() mutable {
            const TaskContext::Scope current{*context};
            std::move(run)();
        });
    }

    friend bool operator==(const ContextExecutor& a, const ContextExecutor& b) noexcept {
        return a.inner_ == b.inner_ && a.context_ == b.context_;
    }
    friend bool operator!=(const ContextExecutor& a, const ContextExecutor& b) noexcept {
        return !(a == b);
    }

private:
    template <class Other>
    ContextExecutor<Other> with(Other inner) const {
        return {std::move(inner), context_};
    }

    Inner inner_;
    std::shared_ptr<TaskContext> context_;
};

}  // namespace lovage::detail

#pragma once

#include <optional>
#include <string>

#include <lovage/brokers/amqp/test_vhost.hpp>
#include <lovage/cli/default_drivers.hpp>
#include <lovage/clients/sqlite/test_folder.hpp>
#include <lovage/runtime/log.hpp>
#include <lovage/runtime/settings.hpp>

#include <gtest/gtest.h>

namespace lovage::integration {

/// A test for the embedded broker and for RabbitMQ; results are in the test's folder.
class BothBrokers : public testing::TestWithParam<const char*> {
protected:
    BothBrokers() {
        register_default_drivers();
        log::configure({.level = log::Level::off});  // what is expected to go wrong is no news
        settings_.broker_url = "sqlite:///" + folder_.path().string();
        settings_.result_backend = settings_.broker_url;
        if (GetParam() == std::string{"rabbitmq"}) {
            vhost_.emplace();
            settings_.broker_url = vhost_->url();
        }
    }

    sqlite::TestFolder folder_;
    std::optional<conformance::TestVhost> vhost_;
    Settings settings_;
};

inline std::string broker_name(const testing::TestParamInfo<const char*>& info) {
    return info.param;
}

}  // namespace lovage::integration

/// Runs the tests of a class derived from BothBrokers on both.
#define LOVAGE_ON_BOTH_BROKERS(test_class)                                            \
    INSTANTIATE_TEST_SUITE_P(On, test_class, ::testing::Values("sqlite", "rabbitmq"), \
                             ::lovage::integration::broker_name)

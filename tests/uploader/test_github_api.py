"""Where GitHub's APIs are."""

from services.uploader.stores.github_api import graphql_url


def test_an_enterprise_servers_graphql_is_beside_its_rest_api() -> None:
    assert graphql_url("https://ghe.example.org/api/v3") == "https://ghe.example.org/api/graphql"


def test_githubs_own_graphql_is_below_its_api() -> None:
    assert graphql_url("https://api.github.com") == "https://api.github.com/graphql"

"""A message that a phone would turn into a link leads the person away: none is shown."""

import pytest

from as_parts import Provider, basic, refused


async def words_of(provider: Provider, message: str) -> tuple[int, str | None]:
    client = await provider.other_client()
    answer = await provider.ask(
        auth=basic(client), authorization_details=None, resource=None, binding_message=message
    )
    return answer.status_code, None if answer.status_code == 200 else refused(
        answer, "invalid_binding_message"
    )


@pytest.mark.seed("CIBA-24")
@pytest.mark.parametrize(
    "message",
    [
        "bücher.de",
        "see пример.рф now",
        "банк.укр",
        "例え.テスト",
        "shop.bücher.example",
        "evil\uff0ecom",
        "mail ivan@пример.рф",
    ],
)
async def test_a_name_in_another_script_is_a_link_too(provider: Provider, message: str) -> None:
    assert await words_of(provider, message) == (400, "no links and no addresses")


@pytest.mark.seed("CIBA-24")
@pytest.mark.parametrize(
    "message",
    [
        "z.B. 25 €",
        "Überweisung. Danke",
        "支付二十五元。谢谢",
        "25,00 EUR",
        "1.5",
        "v1.2.3",
        "Да. Нет.",
    ],
)
async def test_a_sentence_is_no_link(provider: Provider, message: str) -> None:
    assert await words_of(provider, message) == (200, None)

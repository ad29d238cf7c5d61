"""Short sentences in six languages: a subject, a verb, an object, and a place or time, in every combination."""

from __future__ import annotations

import random

VOICES = {"de": "de", "en": "en-us", "es": "es", "fi": "fi", "fr": "fr", "pl": "pl"}  # eSpeak NG's names

PARTS: dict[str, tuple[str, str, str, str]] = {
    "de": (
        "meine Schwester|der alte Mann|unser Lehrer|die kleine Katze|sein Bruder|die Nachbarin|ein Arzt|das Kind",
        "sucht|findet|kauft|bringt|zeigt|verkauft|zeichnet|vergisst",
        "einen roten Apfel|das neue Buch|den schweren Koffer|eine Tasse Tee|die grüne Jacke|viele Blumen|den Schlüssel",
        "im Garten|heute Abend|vor dem Haus|auf der Straße|am Bahnhof|jeden Morgen|in der Küche|nach der Schule",
    ),
    "en": (
        "my sister|the old man|our teacher|the little cat|his brother|the neighbour|a young doctor|the child",
        "is looking for|finds|buys|brings|shows|sells|draws|forgets",
        "a red apple|the new book|the heavy suitcase|a cup of tea|the green jacket|many flowers|the key",
        "in the garden|this evening|in front of the house|on the street|at the station|every morning|in the kitchen",
    ),
    "es": (
        "mi hermana|el hombre viejo|nuestro profesor|la gata pequeña|su hermano|la vecina|un médico joven|el niño",
        "busca|encuentra|compra|trae|muestra|vende|dibuja|olvida",
        "una manzana roja|el libro nuevo|la maleta pesada|una taza de té|la chaqueta verde|muchas flores|la llave",
        "en el jardín|esta noche|delante de la casa|en la calle|en la estación|cada mañana|en la cocina",
    ),
    "fi": (
        "minun sisareni|vanha mies|meidän opettaja|pieni kissa|hänen veljensä|naapuri|nuori lääkäri|lapsi",
        "etsii|löytää|ostaa|tuo|näyttää|myy|piirtää|unohtaa",
        "punaisen omenan|uuden kirjan|raskaan laukun|kupin teetä|vihreän takin|monta kukkaa|avaimen",
        "puutarhassa|tänä iltana|talon edessä|kadulla|asemalla|joka aamu|keittiössä|koulun jälkeen",
    ),
    "fr": (
        "ma sœur|le vieil homme|notre professeur|le petit chat|son frère|la voisine|un jeune médecin|l'enfant",
        "cherche|trouve|achète|apporte|montre|vend|dessine|oublie",
        "une pomme rouge|le nouveau livre|la lourde valise|une tasse de thé|la veste verte|beaucoup de fleurs|la clé",
        "dans le jardin|ce soir|devant la maison|dans la rue|à la gare|chaque matin|dans la cuisine|après l'école",
    ),
    "pl": (
        "moja siostra|stary człowiek|nasz nauczyciel|mały kot|jego brat|sąsiadka|młody lekarz|dziecko",
        "szuka|znajduje|kupuje|przynosi|pokazuje|sprzedaje|rysuje|zapomina",
        "czerwone jabłko|nową książkę|ciężką walizkę|filiżankę herbaty|zieloną kurtkę|dużo kwiatów|klucz",
        "w ogrodzie|dziś wieczorem|przed domem|na ulicy|na dworcu|każdego ranka|w kuchni|po szkole",
    ),
}


def draw_sentence(language: str, rng: random.Random) -> str:
    """Draw a sentence of a language, evenly."""
    return " ".join(rng.choice(part.split("|")) for part in PARTS[language])

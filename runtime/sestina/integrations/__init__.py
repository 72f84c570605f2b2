"""Where users build: one module a framework, imported by those who have it, and by nothing else of Sestina.

>>> from sestina.integrations.langchain import SestinaEmbeddings
>>> store = InMemoryVectorStore(SestinaEmbeddings())
"""
